"""A database seen from within one open transaction: its parts are committed or undone together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from engineshed_packages.ids import derived_id
from engineshed_server.db import engines
from engineshed_server.db.database import Database
from engineshed_server.db.guard import locked
from engineshed_server.db.models import FloorRow
from engineshed_server.errors import Raced, TryLater
from engineshed_server.services.racing import run_again_when_raced
from tests.server.databases import DatabaseKind
from tests.server.db.rows import NOW, engine_record

ONE = derived_id("eng", "one")


def states(database: Database) -> list[str]:
    with database.read() as session:
        return [one.state for one in engines.list_engines(session, limit=10, after=None)]


def test_what_is_done_within_is_committed_with_the_whole(database: Database) -> None:
    with database.write() as session:
        within = database.within(session)
        with within.write() as inner:
            engines.add_engine(inner, engine_record())
        assert states(within) == ["enrolled"]
    assert states(database) == ["enrolled"]


def test_what_is_done_within_is_undone_with_the_whole(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        with database.within(session).write() as inner:
            engines.add_engine(inner, engine_record())
        raise RuntimeError("killed")
    assert states(database) == []


def test_a_part_that_fails_is_undone_alone(database: Database) -> None:
    with database.write() as session:
        within = database.within(session)
        with within.write() as inner:
            engines.add_engine(inner, engine_record())
        with pytest.raises(RuntimeError), within.write() as inner:
            engines.add_engine(inner, engine_record("two"))
            inner.flush()
            raise RuntimeError("refused")
    assert states(database) == ["enrolled"]


def test_a_part_that_takes_a_taken_row_is_told_and_the_whole_goes_on(database: Database) -> None:
    with database.write() as session:
        within = database.within(session)
        with within.write() as inner:
            engines.add_engine(inner, engine_record())
        with pytest.raises(Raced), within.write() as inner:
            inner.expunge_all()
            engines.add_engine(inner, engine_record())
        assert states(within) == ["enrolled"]
    assert states(database) == ["enrolled"]


def test_each_part_sees_what_the_parts_before_changed(database: Database) -> None:
    with database.write() as session:
        engines.add_engine(session, engine_record())
    with database.write() as session:
        within = database.within(session)
        assert states(within) == ["enrolled"]
        with within.write() as inner:
            assert engines.move_engine(inner, ONE, before=engines.ENROLLED, after=engines.REVOKED, now=NOW)
        assert states(within) == ["revoked"]
        assert states(database) == ["enrolled"]


SOON_S = 0.3


@pytest.fixture
def floors(database: Database) -> Database:
    with database.write() as session:
        session.add_all(FloorRow(product=product, version="0") for product in ("one", "two"))
    return database


def versions(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(text("SELECT version FROM floors WHERE product IN ('one', 'two')")))


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
        with within.write() as part:
            row = locked(part, FloorRow, "one")
            assert row is not None
            row.version = "1"
        run_again_when_raced(lambda: lose(within))
    assert caught.value.code == "database-raced"
    assert (isinstance(caught.value, Raced), tries) == (False, 1)
    assert versions(floors) == {"0"}
