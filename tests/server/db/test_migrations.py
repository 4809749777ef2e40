"""Every revision, up and down, on each database, with rows in the tables; and what if it cannot go on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from engineshed_packages.enrolment import OrderKey
from engineshed_server.db import configurations, migrating, portal, schema
from engineshed_server.db.connecting import Patience
from engineshed_server.db.database import Database
from engineshed_server.domain.configurations import Configuration
from engineshed_server.errors import SetupRefused, TryLater
from tests.server.databases import ON_SERVERS, DatabaseKind
from tests.server.databases.server import ServerStore
from tests.server.databases.store import DatabaseStore
from tests.server.db.migration_steps import BASE, count, fill, move, revisions, tables_of


def statements_of(database: Database, *, failing: int | None = None) -> list[str]:
    """Upgrades; the statements that changed something, and an error in place of the one with that number."""
    ran: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.split()[0].upper() in ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE"):
            if len(ran) == failing:
                raise KeyboardInterrupt
            ran.append(statement)

    event.listen(sa.engine.Engine, "before_cursor_execute", note)
    try:
        schema.upgrade(database)
    finally:
        event.remove(sa.engine.Engine, "before_cursor_execute", note)
    return ran


def columns_of(database: Database) -> set[str]:
    return {str(column) for table in tables_of(database) for column in table.columns}


def test_the_migrations_build_exactly_the_models(database: Database) -> None:
    assert schema.check(database) == ()


def test_each_revision_goes_up_and_down_and_up_again_and_keeps_the_rows(bare: Database) -> None:
    below = BASE
    for revision in revisions():
        move(bare, revision)
        assert schema.find_revision(bare) == revision
        fill(bare)
        before = count(bare)
        move(bare, below)
        assert schema.find_revision(bare) == (None if below == BASE else below)
        kept = count(bare)
        assert {name: before[name] for name in kept} == kept
        move(bare, revision)
        assert count(bare).keys() == before.keys()
        fill(bare)
        below = revision
    assert schema.check(bare) == ()


def test_down_to_the_base_nothing_is_left_and_up_again_all_is_there(bare: Database) -> None:
    move(bare, revisions()[-1])
    fill(bare)
    move(bare, BASE)
    assert tables_of(bare) == []
    schema.upgrade(bare)
    assert schema.check(bare) == ()


def test_a_database_that_is_up_to_date_is_left_alone(database: Database) -> None:
    assert statements_of(database) == []


def test_a_migration_that_fails_again_and_again_leaves_nothing_or_goes_on_where_it_stopped(
    bare: Database, database_kind: DatabaseKind
) -> None:
    failing = 0
    while True:
        try:
            statements_of(bare, failing=failing)
            break
        except KeyboardInterrupt:
            # MariaDB cannot take a change of the schema back: there each statement gets its turn to fail.
            if database_kind is not DatabaseKind.MARIADB:
                assert (schema.find_revision(bare), tables_of(bare)) == (None, [])
            failing += 1 if database_kind is DatabaseKind.MARIADB else 12
    assert failing > len(revisions())
    assert schema.check(bare) == ()


LOCK = {
    DatabaseKind.SQLITE: "UPDATE engines SET state = state",
    DatabaseKind.POSTGRESQL: "LOCK TABLE releases IN ACCESS SHARE MODE",
    DatabaseKind.MARIADB: "SELECT * FROM releases",
}


def test_a_migration_gives_up_when_another_session_holds_a_table_and_can_be_run_again(
    bare: Database, database_kind: DatabaseKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(bare, "0002")  # 0003 alters `releases`
    monkeypatch.setattr(migrating, "OF_MIGRATIONS", Patience(lock_s=1, statement_s=30))
    before = columns_of(bare)
    with bare.write() as session:
        session.execute(sa.text(LOCK[database_kind]))
        with pytest.raises(TryLater) as caught:
            schema.upgrade(bare)
    assert caught.value.code == "database-busy"
    assert (schema.find_revision(bare), columns_of(bare)) == ("0002", before)
    schema.upgrade(bare)
    assert schema.check(bare) == ()


def test_two_that_migrate_at_once_do_it_one_after_the_other(
    bare: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the first may take longer than the second would wait.
    monkeypatch.setattr(migrating, "OF_MIGRATIONS", Patience(lock_s=120, statement_s=120))
    with closing(Database(bare.url)) as other, ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(schema.upgrade, one) for one in (bare, other)]:
            done.result()
    assert schema.check(bare) == ()


def test_who_finds_somebody_else_migrating_gives_up(bare: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "OF_MIGRATIONS", Patience(lock_s=1, statement_s=30))
    with migrating.migrating(bare.url), pytest.raises(TryLater) as caught:
        schema.upgrade(bare)
    assert caught.value.code == "database-busy"


@ON_SERVERS
def test_a_user_who_may_not_change_the_schema_is_told_which_right_is_missing(
    bare: Database, database_store: DatabaseStore
) -> None:
    assert isinstance(database_store, ServerStore)
    with (
        database_store.powerless(bare.url) as url,
        closing(Database(url)) as looking,
        pytest.raises(SetupRefused) as caught,
    ):
        schema.upgrade(looking)
    assert caught.value.code == "database-denied"


def test_what_engines_know_so_far_becomes_the_first_configuration(bare: Database) -> None:
    move(bare, "0010")
    active, standby = OrderKey(public=b"a" * 32), OrderKey(public=b"s" * 32)
    now = datetime(2026, 11, 22, 8, tzinfo=UTC)
    with bare.write() as session:
        for key, role in ((standby, portal.STANDBY), (active, portal.ACTIVE)):
            portal.add_order_key(session, key, role=role, now=now)
    fill(bare)
    move(bare, "0011")
    with bare.read() as session:
        first = configurations.find_current(session)
        counted = configurations.count_engines(session, state="x")
    assert first == Configuration(number=1, active=active, standby=standby)
    assert counted == {1: 1}
