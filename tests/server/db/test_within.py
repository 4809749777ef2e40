"""A database seen from within one open transaction: its parts are committed or undone together."""

from __future__ import annotations

import pytest

from engineshed_packages.ids import derived_id
from engineshed_server.db import engines
from engineshed_server.db.database import Database
from engineshed_server.errors import Raced
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
