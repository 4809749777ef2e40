"""What a stolen online key can do to a portal, and that the vendor's next root heals it."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from sqlalchemy import update

from engineshed_packages.times import format_time
from engineshed_server.db.models import FloorRow, RepositoryRow
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import ServerError, TryLater
from engineshed_server.services import engines
from engineshed_server.services.publishing import seen_so_far
from engineshed_server.services.readiness import check_readiness
from engineshed_server.wiring import start_background
from tests.packages.forgery import contents, rotate_online_key, sign_with_stolen_online_key
from tests.server.portals import House


def published_and_trusted(house: House) -> tuple[object, ...]:
    folders = house.portal.folders
    return contents(folders.metadata), contents(folders.trust / "metadata"), seen_so_far(house.portal)


@pytest.mark.parametrize(
    ("forged", "code"),
    [
        ({"timestamp_version": 2**53}, "metadata-version-absurd"),
        ({"snapshot_version": 10**11}, "metadata-version-absurd"),
        ({"issued": "0001-01-01T00:00:00Z"}, "metadata-date-absurd"),
    ],
)
def test_metadata_that_could_not_be_read_back_is_refused_and_nothing_is_published(
    house: House, forged: dict[str, int | str], code: str
) -> None:
    house.publish("1.0.0")
    before = published_and_trusted(house)
    sign_with_stolen_online_key(house.vendor, **forged)  # type: ignore[arg-type]  # a table of cases
    with pytest.raises(ServerError) as caught:
        house.ingest("1.0.0")
    assert caught.value.code == code
    assert published_and_trusted(house) == before
    house.reopen().portal.close()


def test_a_repaired_repository_is_accepted_after_a_date_that_was_put_ahead(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    ahead = house.now + timedelta(days=4 * 365)
    sign_with_stolen_online_key(house.vendor, issued=format_time(ahead))
    house.ingest("1.0.0")
    assert house.poll(engine).order is None  # by that date the release's own signature has ended
    rotate_online_key(house.vendor)
    house.ingest("1.0.0")
    seen = seen_so_far(house.portal)
    assert seen is not None
    assert seen.newest_date == house.vendor.now
    assert house.order(engine).package is not None


def damage(house: House) -> None:
    """As an older version of the portal stored it, or a disk spoiled it."""
    with house.portal.database.write() as session:
        session.execute(update(RepositoryRow).values(seen='{"timestamp_version": 9007199254740992}'))


def metadata_check(house: House) -> tuple[bool, str]:
    checks = check_readiness(house.portal, now=house.now)
    return next((check.good, check.text) for check in checks if check.name == "metadata")


def test_a_process_starts_with_a_damaged_row_of_trust_and_readiness_names_it(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    damage(house)
    other = house.reopen()
    start_background(other.portal).stop()
    good, text = metadata_check(other)
    assert (good, "timestamp_version" in text) == (False, True)
    engines.revoke_engine(other.portal, engine.engine, actor=Actor("test"), now=house.now)
    assert engine.engine in other.portal.snapshot.current().not_enrolled
    other.portal.close()


def test_the_next_bundle_writes_a_damaged_row_of_trust_anew(house: House) -> None:
    house.publish("1.0.0")
    before = seen_so_far(house.portal)
    damage(house)
    house.ingest("1.0.0")
    assert seen_so_far(house.portal) == before
    other = house.reopen()
    assert metadata_check(other)[0]
    other.portal.close()


def test_with_row_and_trusted_set_lost_nothing_is_taken_in(house: House) -> None:
    """Nothing would tell an old repository from the newest one."""
    house.publish("1.0.0")
    damage(house)
    shutil.rmtree(house.portal.folders.trust)
    with pytest.raises(TryLater) as caught:
        house.ingest("1.0.0")
    assert caught.value.code == "trust-unreadable"


def test_a_product_whose_floor_is_damaged_is_not_offered(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    with house.portal.database.write() as session:
        session.add(FloorRow(product="sample-engine", version="no version"))
    other = house.reopen()
    assert other.poll(engine).order is None
    good, text = metadata_check(other)
    assert (good, "sample-engine" in text) == (False, True)
    other.portal.close()
