from __future__ import annotations

from datetime import timedelta

from engineshed_server.services.readiness import check_readiness
from engineshed_server.services.snapshot import SnapshotHolder
from tests.server.databases import DatabaseAway
from tests.server.portals import House


def good(house: House) -> dict[str, bool]:
    return {check.name: check.good for check in check_readiness(house.portal, now=house.now)}


def test_a_portal_that_works_is_ready(house: House) -> None:
    names = ("database", "snapshot", "data-folder", "metadata", "emergency-stops")
    assert good(house) == dict.fromkeys(names, True)


def test_a_database_that_is_away_is_said(house: House, database_away: DatabaseAway) -> None:
    with database_away(house.portal.database):
        assert not good(house)["database"]
    assert good(house)["database"]


def test_a_memory_that_was_never_loaded_is_said(house: House) -> None:
    holder = SnapshotHolder(house.portal.database, repository="vendor")
    assert holder.age_s() == float("inf")


def test_expired_metadata_is_told_but_serving_goes_on(house: House) -> None:
    house.publish("1.0.0")
    house.now += timedelta(days=5 * 365)
    check = next(check for check in check_readiness(house.portal, now=house.now) if check.name == "metadata")
    assert check.good
    assert "has expired" in check.text
