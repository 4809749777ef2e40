from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from engineshed_server.db.database import Database
from engineshed_server.errors import Raced, SetupRefused, TryLater


@pytest.fixture
def counter(tmp_path: Path) -> Database:
    database = Database(f"sqlite+pysqlite:///{tmp_path}/counter.db")
    with database.write() as session:
        session.execute(text("CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER)"))
        session.execute(text("INSERT INTO counter VALUES (1, 0)"))
    return database


def value_of(database: Database) -> int:
    with database.read() as session:
        return int(session.execute(text("SELECT value FROM counter WHERE id = 1")).scalar_one())


def test_a_write_is_kept_when_its_block_ends_well(counter: Database) -> None:
    with counter.write() as session:
        session.execute(text("UPDATE counter SET value = 7"))
    assert value_of(counter) == 7


def test_a_write_leaves_nothing_when_its_block_raises(counter: Database) -> None:
    with pytest.raises(ValueError, match="stop"), counter.write() as session:
        session.execute(text("UPDATE counter SET value = 7"))
        raise ValueError("stop")
    assert value_of(counter) == 0


def test_a_read_keeps_nothing(counter: Database) -> None:
    with counter.read() as session:
        session.execute(text("UPDATE counter SET value = 7"))
    assert value_of(counter) == 0


def test_no_update_is_lost_between_threads(counter: Database) -> None:
    def count() -> None:
        for _ in range(25):
            with counter.write() as session:
                before = session.execute(text("SELECT value FROM counter")).scalar_one()
                session.execute(text("UPDATE counter SET value = :value"), {"value": before + 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value_of(counter) == 100


def test_a_reader_does_not_wait_for_a_writer(counter: Database) -> None:
    with counter.write() as session:
        session.execute(text("UPDATE counter SET value = 7"))
        assert value_of(counter) == 0


def test_a_reader_sees_one_picture_until_it_ends(counter: Database) -> None:
    with counter.read() as session:
        before = session.execute(text("SELECT value FROM counter")).scalar_one()
        with counter.write() as writing:
            writing.execute(text("UPDATE counter SET value = 7"))
        assert session.execute(text("SELECT value FROM counter")).scalar_one() == before


def test_a_unique_row_taken_first_is_a_race(counter: Database) -> None:
    with pytest.raises(Raced), counter.write() as session:
        session.execute(text("INSERT INTO counter VALUES (1, 1)"))


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
def test_sqlite_is_opened_as_it_must_be(counter: Database, pragma: str, expected: object) -> None:
    with counter.read() as session:
        assert session.execute(text(f"PRAGMA {pragma}")).scalar_one() == expected
