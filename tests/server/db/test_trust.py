from __future__ import annotations

import pytest
from sqlalchemy import update

from engineshed_packages.metadata import Seen, Speakers
from engineshed_packages.versions import Version
from engineshed_server.db import trust
from engineshed_server.db.database import Database
from engineshed_server.db.models import FloorRow, RepositoryRow
from engineshed_server.errors import TryLater
from tests.server.db.rows import NOW

RECORD = trust.RepositoryRecord(
    name="vendor",
    seen=Seen(
        root_version=1, timestamp_version=2, newest_date=NOW.replace(microsecond=0), timestamp_keys=("a",)
    ),
    expires=NOW,
)


def test_what_was_verified_comes_back(database: Database) -> None:
    with database.write() as session:
        assert trust.write_repository(session, RECORD)
    with database.read() as session:
        assert trust.find_repository(session, "vendor") == RECORD


def test_the_same_again_is_no_change(database: Database) -> None:
    with database.write() as session:
        trust.write_repository(session, RECORD)
        assert not trust.write_repository(session, RECORD)


def test_a_floor_only_rises(database: Database) -> None:
    with database.write() as session:
        assert trust.raise_floor(session, "manager", version=Version.parse("2.9"))
        assert not trust.raise_floor(session, "manager", version=Version.parse("2.1"))
        assert trust.raise_floor(session, "manager", version=Version.parse("2.10"))
        assert trust.list_floors(session) == {"manager": Version.parse("2.10")}


def test_a_damaged_row_is_named_and_written_anew(database: Database) -> None:
    with database.write() as session:
        trust.write_repository(session, RECORD)
        session.execute(update(RepositoryRow).values(seen='{"timestamp_version": 9007199254740992}'))
    with database.read() as session, pytest.raises(TryLater) as caught:
        trust.find_repository(session, "vendor")
    assert caught.value.code == "trust-unreadable"
    with database.write() as session:
        assert trust.write_repository(session, RECORD)
        assert trust.find_repository(session, "vendor") == RECORD


def test_a_damaged_floor_is_unknown_until_it_is_signed_again(database: Database) -> None:
    with database.write() as session:
        session.add(FloorRow(product="manager", version="no version"))
        session.flush()
        assert trust.list_floors(session) == {"manager": None}
        assert trust.raise_floor(session, "manager", version=Version.parse("2.1"))
        assert trust.list_floors(session) == {"manager": Version.parse("2.1")}


def test_who_signs_a_product_is_remembered_and_a_change_is_told_once(database: Database) -> None:
    old, again, new, late = (
        Speakers(keyids=keyids, named_by=number)
        for keyids, number in ((("old",), 1), (("old",), 2), (("new", "other"), 3), (("old",), 2))
    )
    for one, replaced in ((old, False), (again, False), (new, True), (new, False), (late, False)):
        with database.write() as session:
            assert trust.write_speakers(session, "manager", speakers=one) is replaced
    with database.read() as session:
        assert trust.list_speakers(session) == {"manager": new}


def test_a_floor_that_is_forgotten_may_begin_lower(database: Database) -> None:
    with database.write() as session:
        trust.raise_floor(session, "manager", version=Version.parse("9.9"))
        trust.forget_floor(session, "manager")
        assert trust.raise_floor(session, "manager", version=Version.parse("1.0"))
    with database.read() as session:
        assert trust.list_floors(session) == {"manager": Version.parse("1.0")}
