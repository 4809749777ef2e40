"""Eight threads add one to one row a hundred times each: they read it, and write what they read plus one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from engineshed_server.db import throttles
from engineshed_server.db.database import Database
from engineshed_server.services.racing import run_again_when_raced
from tests.server.databases import DatabaseKind
from tests.server.db.rows import NOW

THREADS = 8
TIMES = 100
SOURCE = "enrol:192.0.2.1"


def at_once(add_one: Callable[[], None]) -> None:
    """Runs it a hundred times in each of eight threads that start together; fails when one of them did."""
    barrier = threading.Barrier(THREADS)
    failed: list[Exception] = []

    def run() -> None:
        barrier.wait()
        try:
            for _ in range(TIMES):
                add_one()
        except Exception as err:
            failed.append(err)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.fixture
def counted(database: Database) -> Database:
    """The database with a throttle that counted nothing yet."""
    with database.write() as session:
        throttles.write_throttle(
            session, throttles.Throttle(source=SOURCE, failures=0, failed=NOW, wait_until=NOW)
        )
    return database


def failures(database: Database) -> int:
    with database.read() as session:
        found = throttles.find_throttle(session, SOURCE)
    assert found is not None
    return found.failures


def test_none_of_800_updates_is_lost(counted: Database) -> None:
    def add_one() -> None:
        with counted.write() as session:
            before = throttles.lock_throttle(session, SOURCE)
            assert before is not None
            after = throttles.Throttle(
                source=SOURCE,
                failures=before.failures + 1,
                failed=NOW,
                wait_until=before.wait_until + timedelta(seconds=1),
            )
            throttles.write_throttle(session, after)

    at_once(lambda: run_again_when_raced(add_one))
    assert failures(counted) == THREADS * TIMES


def test_updates_are_lost_where_writers_run_beside_each_other_and_lock_nothing(
    counted: Database, database_kind: DatabaseKind
) -> None:
    """What the lock is for; SQLite's writers exclude each other from the beginning."""

    def add_one() -> None:
        with counted.write() as session:
            before = session.scalar(text("SELECT failures FROM throttles"))
            session.execute(text("UPDATE throttles SET failures = :after"), {"after": before + 1})

    at_once(add_one)
    if database_kind is DatabaseKind.SQLITE:
        assert failures(counted) == THREADS * TIMES
    else:
        assert failures(counted) < THREADS * TIMES


@pytest.mark.parametrize("database_kind", [DatabaseKind.SQLITE])
def test_sqlites_driver_loses_updates_when_it_opens_the_transactions(counted: Database) -> None:
    """What this test would look like without `Database`: else the first one could not fail on SQLite."""
    plain = create_engine(counted.url, pool_size=THREADS)

    def add_one() -> None:
        with plain.begin() as connection:
            before = connection.scalar(text("SELECT failures FROM throttles"))
            connection.execute(text("UPDATE throttles SET failures = :after"), {"after": before + 1})

    at_once(add_one)
    plain.dispose()
    assert failures(counted) < THREADS * TIMES
