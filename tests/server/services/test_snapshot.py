from __future__ import annotations

from datetime import timedelta

import pytest

from engineshed_packages.target import DEFAULT_CHANNEL
from engineshed_packages.versions import Version
from engineshed_server.db import portal as portal_rows
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.decide import EngineFacts
from engineshed_server.errors import TryLater
from engineshed_server.services import engines
from tests.server.databases import DatabaseAway
from tests.server.portals import House
from tests.server.statements import counted
from tests.vendor import PRODUCT


def test_a_portal_without_releases_has_an_empty_snapshot(house: House) -> None:
    snapshot = house.portal.snapshot.current()
    assert (snapshot.candidates_of(PRODUCT), snapshot.timestamp_version, snapshot.metadata_expires) == (
        (),
        0,
        None,
    )


def test_another_process_sees_a_release_at_its_next_look(house: House) -> None:
    other = house.reopen()
    house.publish("1.0.0")
    assert other.portal.snapshot.current().candidates_of(PRODUCT) == ()
    assert other.portal.snapshot.refresh()
    assert len(other.portal.snapshot.current().candidates_of(PRODUCT)) == 1
    other.portal.close()


def test_another_process_sees_a_revocation_at_its_next_look(house: House) -> None:
    engine, other = house.enrol(), house.reopen()
    engines.revoke_engine(house.portal, engine.engine, actor=Actor("test"), now=house.now)
    other.portal.snapshot.refresh()
    assert engine.engine in other.portal.snapshot.current().not_enrolled
    other.portal.close()


def test_a_look_at_an_unmoved_generation_is_one_statement(house: House) -> None:
    with counted(house.portal.database) as statements:
        assert not house.portal.snapshot.refresh()
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1


def test_a_change_that_was_rolled_back_is_not_seen(house: House) -> None:
    with pytest.raises(ValueError, match="stop"), house.portal.database.write() as session:
        portal_rows.bump_generation(session)
        raise ValueError("stop")
    assert not house.portal.snapshot.refresh()


def test_every_engine_follows_the_default_channel_unless_said_otherwise(house: House) -> None:
    assert house.portal.snapshot.current().channel_of("eng_nobody") == DEFAULT_CHANNEL


def test_a_snapshot_stays_as_it_was_while_the_database_is_away(
    house: House, database_away: DatabaseAway
) -> None:
    house.publish("1.0.0")
    before = house.portal.snapshot.current()
    with database_away(house.portal.database):
        with pytest.raises(TryLater):
            house.portal.snapshot.refresh()
        assert house.portal.snapshot.current() is before


def test_a_remembered_decision_ends_with_the_vendors_metadata(house: House) -> None:
    house.publish("1.0.0")
    snapshot = house.portal.snapshot.current()
    assert snapshot.metadata_expires is not None
    engine = EngineFacts(
        product=PRODUCT, platform="linux-x86_64", version=Version.parse("0.9"), channel=DEFAULT_CHANNEL
    )
    before, after = snapshot.metadata_expires - timedelta(seconds=1), snapshot.metadata_expires
    assert [snapshot.decide(engine, now=now).code for now in (before, before, after, before)] == [
        "offer",
        "offer",
        "nothing-fits",
        "offer",
    ]


def test_a_remembered_decision_keeps_each_spelling_of_a_version(house: House) -> None:
    house.publish("1.0.0")
    snapshot = house.portal.snapshot.current()
    said = [
        snapshot.decide(
            EngineFacts(
                product=PRODUCT,
                platform="linux-x86_64",
                version=Version.parse(text),
                channel=DEFAULT_CHANNEL,
            ),
            now=house.now,
        ).text
        for text in ("1.0.0", "1.0")
    ]
    assert said == [f"{PRODUCT} {text} is the newest for this engine" for text in ("1.0.0", "1.0")]
