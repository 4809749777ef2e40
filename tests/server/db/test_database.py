from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text, update

from engineshed_server.db import connecting, orders
from engineshed_server.db.connecting import Patience
from engineshed_server.db.database import Database
from engineshed_server.db.guard import changed_rows, locked
from engineshed_server.db.models import FloorRow
from engineshed_server.errors import Raced, SetupRefused, TryLater
from tests.server.databases import ON_SERVERS, DatabaseAway, DatabaseKind, NewDatabase
from tests.server.db.rows import order_record

SLEEP = {DatabaseKind.POSTGRESQL: "SELECT pg_sleep(20)", DatabaseKind.MARIADB: "SELECT SLEEP(20) FROM floors"}


@pytest.fixture
def floor(database: Database) -> Database:
    """The database with one row: product one, version 0."""
    with database.write() as session:
        session.add(FloorRow(product="one", version="0"))
    return database


@pytest.fixture
def impatient(new_database: NewDatabase) -> Iterator[Database]:
    """The same row in a database whose statements give up after a second."""
    made = Database(new_database(), patience=Patience(lock_s=1, statement_s=1))
    with made.write() as session:
        session.add(FloorRow(product="one", version="0"))
    yield made
    made.close()


def write_version(database: Database, version: str) -> None:
    with database.write() as session:
        session.execute(text("UPDATE floors SET version = :version"), {"version": version})


def version_of(database: Database) -> str:
    with database.read() as session:
        return str(session.scalar(text("SELECT version FROM floors WHERE product = 'one'")))


def test_a_write_is_kept_when_its_block_ends_well(floor: Database) -> None:
    write_version(floor, "7")
    assert version_of(floor) == "7"


def test_a_write_leaves_nothing_when_its_block_raises(floor: Database) -> None:
    with pytest.raises(ValueError, match="stop"), floor.write() as session:
        session.execute(text("UPDATE floors SET version = '7'"))
        raise ValueError("stop")
    assert version_of(floor) == "0"


def test_a_reading_transaction_does_not_write(floor: Database) -> None:
    with pytest.raises(AssertionError, match="asked to write"), floor.read() as session:
        session.execute(text("UPDATE floors SET version = '7'"))
    assert version_of(floor) == "0"
    write_version(floor, "8")  # on the same connection
    assert version_of(floor) == "8"


def test_a_reader_does_not_wait_for_a_writer(floor: Database) -> None:
    with floor.write() as session:
        session.execute(text("UPDATE floors SET version = '7'"))
        assert version_of(floor) == "0"


def test_a_reader_sees_one_picture_until_it_ends(floor: Database) -> None:
    with floor.read() as session:
        before = session.scalar(text("SELECT version FROM floors"))
        write_version(floor, "7")
        assert session.scalar(text("SELECT version FROM floors")) == before


def test_a_unique_row_taken_first_is_a_race(floor: Database) -> None:
    with pytest.raises(Raced), floor.write() as session:
        session.execute(text("INSERT INTO floors VALUES ('one', '1')"))


def test_a_row_that_points_to_nothing_is_a_race_with_who_took_it_away(database: Database) -> None:
    with pytest.raises(Raced), database.write() as session:
        orders.add_order(session, order_record())


def test_a_value_that_must_be_there_and_is_not_is_a_bug_and_no_race(database: Database) -> None:
    with pytest.raises(Exception, match="version") as caught, database.write() as session:
        session.execute(text("INSERT INTO floors (product) VALUES ('one')"))
    assert not isinstance(caught.value, TryLater)


def test_texts_are_equal_only_when_every_byte_is(database: Database) -> None:
    with database.write() as session:
        for product in ("one", "One", "one ", "oné"):
            session.add(FloorRow(product=product, version="0"))
    with database.read() as session:
        found = session.scalars(text("SELECT product FROM floors WHERE product = 'one'")).all()
    assert found == ["one"]


def test_texts_are_ordered_byte_by_byte(database: Database) -> None:
    names = ["1~", "1.", "a", "B", "_", "b ", "b"]
    with database.write() as session:
        for product in names:
            session.add(FloorRow(product=product, version="0"))
    with database.read() as session:
        found = session.scalars(text("SELECT product FROM floors ORDER BY product")).all()
    assert found == sorted(names)


def test_an_update_counts_the_rows_it_found_and_not_those_it_altered(floor: Database) -> None:
    same = update(FloorRow).where(FloorRow.product == "one").values(version="0")
    with floor.write() as session:
        assert changed_rows(session, same) == 1
        assert changed_rows(session, same.where(FloorRow.version == "1")) == 0


def test_a_row_that_was_read_without_a_lock_is_not_changed(floor: Database) -> None:
    with pytest.raises(AssertionError, match="without a lock"), floor.write() as session:
        row = session.get(FloorRow, "one")
        assert row is not None
        row.version = "7"
    assert version_of(floor) == "0"


def test_a_locked_row_is_read_anew_and_may_be_changed(floor: Database) -> None:
    with floor.write() as session:
        stale = session.get(FloorRow, "one")
        session.execute(text("UPDATE floors SET version = '1'"))
        row = locked(session, FloorRow, "one")
        assert row is not None
        assert row is stale
        assert row.version == "1"
        row.version = "2"
    assert version_of(floor) == "2"


def test_who_waits_too_long_for_a_lock_is_told_to_try_later(impatient: Database) -> None:
    with impatient.write() as session:
        locked(session, FloorRow, "one")
        with pytest.raises(TryLater) as caught:
            write_version(impatient, "7")
        assert caught.value.code == "database-busy"
    assert version_of(impatient) == "0"


@ON_SERVERS
def test_a_statement_that_takes_too_long_is_ended(impatient: Database, database_kind: DatabaseKind) -> None:
    with pytest.raises(TryLater) as caught, impatient.read() as session:
        session.execute(text(SLEEP[database_kind]))
    assert caught.value.code == "database-busy"


def test_who_finds_all_connections_in_use_is_told_to_try_later(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "POOL_WAIT_S", 0.1)
    database = Database(new_database(), connections=1)
    with database.read() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(TryLater) as caught:
            database.ping()
    assert caught.value.code == "database-busy"
    database.ping()
    database.close()


def test_a_database_that_is_away_is_to_be_tried_later_and_found_again(
    floor: Database, database_away: DatabaseAway
) -> None:
    with database_away(floor):
        with pytest.raises(TryLater) as caught:
            write_version(floor, "7")
        assert caught.value.code == "database-unavailable"
    write_version(floor, "8")
    assert version_of(floor) == "8"


@ON_SERVERS
def test_a_connection_that_broke_while_it_rested_is_not_noticed(
    floor: Database, database_away: DatabaseAway
) -> None:
    version_of(floor)
    kept = floor.engine.pool
    with database_away(Database(floor.url)):  # whose own connections are closed, not those of `floor`
        pass
    assert version_of(floor) == "0"
    assert floor.engine.pool is kept


def test_a_database_that_cannot_be_opened_is_to_be_tried_later(tmp_path: Path) -> None:
    database = Database(f"sqlite+pysqlite:///{tmp_path}/absent/x.db")
    with pytest.raises(TryLater) as caught:
        database.ping()
    assert caught.value.code == "database-unavailable"


@pytest.mark.parametrize("url", ["nonsense", "oracle+cx_oracle://host/db"])
def test_a_url_no_driver_takes_is_refused(url: str) -> None:
    with pytest.raises(SetupRefused) as caught:
        Database(url)
    assert caught.value.code == "database-url"


@pytest.mark.parametrize(
    ("pragma", "expected"),
    [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 2), ("busy_timeout", 15000)],
)
def test_sqlite_is_opened_as_it_must_be(tmp_path: Path, pragma: str, expected: object) -> None:
    database = Database(f"sqlite+pysqlite:///{tmp_path}/x.db")
    with database.read() as session:
        assert session.scalar(text(f"PRAGMA {pragma}")) == expected
    database.close()
