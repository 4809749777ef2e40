from __future__ import annotations

from engineshed_packages.metadata import Seen
from engineshed_packages.versions import Version
from engineshed_server.db import trust
from engineshed_server.db.database import Database
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
