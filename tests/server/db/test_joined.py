"""Transactions that are parts of another one, and what becomes of the whole when a part fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from engineshed_server.db.database import Database
from engineshed_server.db.guard import locked
from engineshed_server.db.models import FloorRow
from engineshed_server.errors import Raced, TryLater
from engineshed_server.services.racing import run_again_when_raced
from tests.server.databases import DatabaseKind

SOON_S = 0.3


@pytest.fixture
def floors(database: Database) -> Database:
    with database.write() as session:
        session.add_all(FloorRow(product=product, version="0") for product in ("one", "two"))
    return database


def versions(database: Database) -> dict[str, str]:
    with database.read() as session:
        found = session.execute(text("SELECT product, version FROM floors WHERE product NOT LIKE 'x%'"))
        return {row.product: row.version for row in found}


def write(database: Database, product: str, version: str) -> None:
    with database.write() as session:
        row = locked(session, FloorRow, product)
        assert row is not None
        row.version = version


def test_parts_are_kept_together(floors: Database) -> None:
    with floors.write() as session:
        within = floors.within(session)
        write(within, "one", "1")
        write(within, "two", "2")
        assert versions(within) == {"one": "1", "two": "2"}
        assert versions(floors) == {"one": "0", "two": "0"}
    assert versions(floors) == {"one": "1", "two": "2"}


def test_a_part_that_fails_is_undone_alone(floors: Database) -> None:
    with floors.write() as session:
        within = floors.within(session)
        write(within, "one", "1")
        with pytest.raises(ValueError, match="stop"), within.write() as part:
            part.execute(text("UPDATE floors SET version = '9'"))
            raise ValueError("stop")
    assert versions(floors) == {"one": "1", "two": "0"}


def test_a_row_that_was_locked_by_a_part_before_is_locked_anew(floors: Database) -> None:
    with floors.write() as session:
        within = floors.within(session)
        with within.write() as part:
            locked(part, FloorRow, "one")
        with pytest.raises(AssertionError, match="without a lock"), within.write() as part:
            row = part.get(FloorRow, "one")
            assert row is not None
            row.version = "1"


@contextmanager
def crossing(database: Database) -> Iterator[None]:
    """Within the block another transaction holds ``two``, and comes for ``one`` soon.

    It has written more than the one in the block: of two that wait for each other MariaDB ends the other.
    """
    holds = threading.Event()

    def cross() -> None:
        with database.write() as session:
            session.add_all(FloorRow(product=f"x{number}", version="0") for number in range(50))
            session.flush()
            locked(session, FloorRow, "two")
            holds.set()
            time.sleep(SOON_S)
            locked(session, FloorRow, "one")

    other = threading.Thread(target=cross)
    other.start()
    assert holds.wait(20)
    yield
    other.join()


@pytest.mark.parametrize("database_kind", [DatabaseKind.MARIADB])
def test_a_part_that_lost_a_deadlock_does_not_run_again_alone_where_the_whole_was_undone(
    floors: Database,
) -> None:
    tries = 0

    def lose(within: Database) -> None:
        nonlocal tries
        tries += 1
        with within.write() as part:
            locked(part, FloorRow, "two")

    with crossing(floors), pytest.raises(TryLater) as caught, floors.write() as session:
        within = floors.within(session)
        write(within, "one", "1")
        run_again_when_raced(lambda: lose(within))
    assert caught.value.code == "database-raced"
    assert (isinstance(caught.value, Raced), tries) == (False, 1)
    assert versions(floors) == {"one": "0", "two": "0"}
