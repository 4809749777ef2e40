"""Each check, with the thing really broken: it is named, and says whether to send anybody here."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from engineshed_server.services import readiness
from engineshed_server.services.readiness import Check, Status, check_readiness, status_of
from engineshed_server.services.snapshot import SnapshotHolder
from engineshed_server.wiring import open_keyless_portal, start_background
from tests.server.databases import DatabaseAway
from tests.server.portals import House
from tests.server.serve.processes import wait_until
from tests.vendor import PRODUCT

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "monitoring.md"


def failing(house: House) -> dict[str, Check]:
    """The checks that fail, by name. Each says what to do."""
    found = {check.name: check for check in check_readiness(house.portal, now=house.now) if not check.good}
    assert all(check.remedy for check in found.values())
    return found


def failing_alone(house: House, name: str) -> Check:
    found = failing(house)
    assert set(found) == {name}
    return found[name]


def test_a_portal_that_works_is_ready(house: House) -> None:
    house.publish("1.0.0")
    assert failing(house) == {}


def test_every_check_is_documented_with_what_it_comes_to(house: House) -> None:
    names = [check.name for check in check_readiness(house.portal, now=house.now)]
    rows = re.findall(r"^\| `([a-z-]+)` \| (?:good|degraded|bad)", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert rows == names


@pytest.mark.parametrize(
    ("several", "status"),
    [
        ((), Status.GOOD),
        ((Status.GOOD, Status.DEGRADED), Status.DEGRADED),
        ((Status.BAD, Status.DEGRADED, Status.GOOD), Status.BAD),
    ],
)
def test_the_worst_of_all_checks_counts(several: tuple[Status, ...], status: Status) -> None:
    assert status_of([Check(name="one", text="", status=one) for one in several]) is status


def test_a_database_that_is_away_is_bad(house: House, database_away: DatabaseAway) -> None:
    with database_away(house.portal.database):
        found = failing(house)
    assert {name: check.status for name, check in found.items()} == {
        "database": Status.BAD,
        "schema": Status.BAD,
    }
    assert failing(house) == {}


def set_revision(house: House, revision: str | None) -> None:
    with house.portal.database.write() as session:
        session.execute(text("DELETE FROM alembic_version"))
        if revision is not None:
            values = {"revision": revision}
            session.execute(text("INSERT INTO alembic_version VALUES (:revision)"), values)


@pytest.mark.parametrize("revision", [None, "0001"])
def test_a_database_that_lacks_migrations_is_bad(house: House, revision: str | None) -> None:
    set_revision(house, revision)
    check = failing_alone(house, "schema")
    assert (check.status, "db upgrade" in check.remedy) == (Status.BAD, True)


def test_a_database_that_a_newer_version_has_migrated_only_degrades(house: House) -> None:
    set_revision(house, "9999")
    assert failing_alone(house, "schema").status is Status.DEGRADED


def test_a_watcher_that_has_died_is_bad(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "MAX_SNAPSHOT_AGE_S", 1.0)
    background = start_background(house.portal)
    try:
        wait_until(lambda: house.portal.snapshot.age_s() > 0.4, "it was left alone")
        wait_until(lambda: house.portal.snapshot.age_s() < 0.1, "the watcher looked")
        assert failing(house) == {}
    finally:
        background.stop()
    wait_until(lambda: house.portal.snapshot.age_s() > 1.0, "nobody looks")
    assert failing_alone(house, "snapshot").status is Status.BAD


def test_a_memory_that_was_never_loaded_is_infinitely_old(house: House) -> None:
    assert SnapshotHolder(house.portal.database, repository="vendor").age_s() == float("inf")


def test_without_any_bundle_nothing_is_wrong_with_the_metadata(house: House) -> None:
    assert failing(house) == {}


def test_days_left_are_told_of_each_role(house: House) -> None:
    house.publish("1.0.0")
    (check,) = (one for one in check_readiness(house.portal, now=house.now) if one.name == "metadata")
    for role in ("root", "timestamp", "snapshot", "targets", PRODUCT):
        assert re.search(rf"\b{role} \d+ days", check.text)


def test_expired_metadata_degrades_and_its_roles_are_named(house: House) -> None:
    house.publish("1.0.0")
    house.tick(days=4 * 365)
    check = failing_alone(house, "metadata")
    assert check.status is Status.DEGRADED
    assert check.text.startswith(f"timestamp, snapshot, {PRODUCT} expired")


def test_metadata_that_is_gone_from_the_disk_is_bad(house: House) -> None:
    house.publish("1.0.0")
    (house.portal.metadata.folder / "timestamp.json").unlink()
    assert failing_alone(house, "metadata").status is Status.BAD


def test_metadata_that_the_disk_has_spoiled_is_bad_and_the_file_is_named(house: House) -> None:
    house.publish("1.0.0")
    path = max(house.portal.metadata.folder.glob("*.snapshot.json"))
    path.write_bytes(b"\x00" * 100)
    check = failing_alone(house, "metadata")
    assert (check.status, path.name in check.text) == (Status.BAD, True)


def test_a_deleted_order_key_degrades_also_while_the_process_has_it_in_memory(house: House) -> None:
    house.portal.folders.order_key.unlink()
    check = failing_alone(house, "order-key")
    assert (check.status, "in memory until it ends" in check.text) == (Status.DEGRADED, True)


def test_an_order_key_that_a_process_never_had_is_told_so(house: House) -> None:
    house.portal.folders.order_key.unlink()
    with closing(open_keyless_portal(house.portal.settings)) as portal:
        check = failing_alone(replace(house, portal=portal), "order-key")
    assert (check.status, "no order is given" in check.text) == (Status.DEGRADED, True)


def test_an_order_key_that_cannot_be_read_degrades(house: House) -> None:
    house.portal.folders.order_key.write_bytes(b"no key")
    assert failing_alone(house, "order-key").status is Status.DEGRADED


def test_a_clock_behind_the_vendors_newest_signature_degrades(house: House) -> None:
    house.publish("1.0.0")
    house.now = house.vendor.now - timedelta(days=1)
    assert failing_alone(house, "clock").status is Status.DEGRADED


def test_a_clock_that_is_a_little_behind_is_none_of_our_trouble(house: House) -> None:
    house.publish("1.0.0")
    house.now = house.vendor.now - timedelta(minutes=4)
    assert failing(house) == {}
