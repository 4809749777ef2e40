"""The throw-away databases: nothing of one test reaches the next, nothing of one run the next week."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from engineshed_server.db.audit import add_audit, list_audit
from engineshed_server.db.database import Database
from tests.server.databases import MARIADB_URL, ON_SERVERS, POSTGRES_URL, DatabaseKind, open_store
from tests.server.databases.server import PREFIX, ServerStore, new_name
from tests.server.databases.store import DatabaseStore
from tests.server.db.rows import NOW
from tests.server.portals import ACTOR

VARIABLES = {DatabaseKind.POSTGRESQL: POSTGRES_URL, DatabaseKind.MARIADB: MARIADB_URL}
NOBODY = {
    DatabaseKind.POSTGRESQL: "postgresql+psycopg://postgres@127.0.0.1:9/postgres",
    DatabaseKind.MARIADB: "mariadb+pymysql://root@127.0.0.1:9/",
}

pytestmark = ON_SERVERS


@pytest.fixture
def store(database_kind: DatabaseKind, tmp_path: Path) -> Iterator[DatabaseStore]:
    with closing(open_store(database_kind, tmp_path)) as made:
        yield made


def write_audit(database: Database) -> int:
    """Writes a row; its number."""
    with database.write() as session:
        add_audit(session, "tested", subject="x", actor=ACTOR, now=NOW)
    with database.read() as session:
        return list_audit(session)[-1].id


def names(store: DatabaseStore) -> list[str]:
    assert isinstance(store, ServerStore)
    return store.existing()


def test_a_database_is_lent_again_and_empty(store: DatabaseStore) -> None:
    first = store.take()
    with closing(Database(first)) as database:
        assert (write_audit(database), write_audit(database)) == (1, 2)
    store.give_back(first)
    assert store.take() == first
    with closing(Database(first)) as database:
        assert write_audit(database) == 1


def test_what_a_test_left_open_is_ended(store: DatabaseStore) -> None:
    url = store.take()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.execute(sa.text("UPDATE portal SET generation = 2"))
        store.give_back(url)
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("SELECT 1"))
    engine.dispose()


@pytest.mark.parametrize(
    "damage", ["ALTER TABLE portal DROP COLUMN created", "UPDATE alembic_version SET version_num = '0001'"]
)
def test_a_database_whose_schema_was_changed_is_not_lent_again(store: DatabaseStore, damage: str) -> None:
    url = store.take()
    with closing(Database(url)) as database, database.write() as session:
        session.execute(sa.text(damage))
    store.give_back(url)
    assert store.take() != url


def test_at_the_end_nothing_is_left(database_kind: DatabaseKind, tmp_path: Path) -> None:
    store = open_store(database_kind, tmp_path)
    ours = {sa.make_url(store.take()).database, sa.make_url(store.take_bare()).database}
    assert ours <= set(names(store))
    store.close()
    assert ours.isdisjoint(names(store))


def test_what_a_killed_run_left_is_swept_when_it_is_old(
    store: DatabaseStore, database_kind: DatabaseKind, tmp_path: Path
) -> None:
    assert isinstance(store, ServerStore)
    old, young = f"{PREFIX}1000000000_1_{new_name()[-8:]}", new_name()
    for name in (old, young):
        store.run(f"CREATE DATABASE {name}")
    with closing(open_store(database_kind, tmp_path)):
        found = names(store)
    store.run(f"DROP DATABASE {young}")
    assert (old in found, young in found) == (False, True)


@pytest.mark.parametrize("required", ["0", "1"])
def test_a_server_that_is_missing_skips_the_test_or_fails_it_where_all_is_required(
    database_kind: DatabaseKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: str
) -> None:
    monkeypatch.setenv(VARIABLES[database_kind], NOBODY[database_kind])
    monkeypatch.setenv("REQUIRE_ALL", required)
    outcome = pytest.fail.Exception if required == "1" else pytest.skip.Exception
    with pytest.raises(outcome, match=f"no {database_kind} at .*127.0.0.1:9.*{VARIABLES[database_kind]}"):
        open_store(database_kind, tmp_path)
