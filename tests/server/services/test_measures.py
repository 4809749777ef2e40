"""What is measured when somebody asks: fleet, metadata, disk."""

from __future__ import annotations

from datetime import timedelta

from engineshed_server.db import engines
from engineshed_server.db.presence import write_presences
from engineshed_server.domain import metrics
from engineshed_server.domain.metrics import Gauge
from engineshed_server.services.measures import Measures, measure
from tests.server.databases import DatabaseAway
from tests.server.db.rows import engine_record, presence_record
from tests.server.portals import House
from tests.server.statements import counted
from tests.vendor import PRODUCT


def told(house: House, gauge: Gauge) -> dict[tuple[str, ...], float]:
    """The readings of one gauge, by labels."""
    return {one.labels: one.value for one in measure(house.portal, now=house.now) if one.gauge is gauge}


def add_engines(house: House, count: int, *, start: int = 0) -> None:
    """Enrolled engines that poll, each tenth in a version of its own."""
    with house.portal.database.write() as session:
        for number in range(start, start + count):
            version = f"1.{number}" if number % 10 == 0 else "1.1"
            record = engine_record(str(number), version=version, version_at=house.now)
            engines.add_engine(session, record)
        session.flush()
        seen = [
            presence_record(str(number), version="1.1", seen=house.now - timedelta(minutes=number))
            for number in range(start, start + count)
        ]
        write_presences(session, seen)


def test_an_empty_portal_has_no_engines_and_no_roles(house: House) -> None:
    assert told(house, metrics.ENGINES) == {}
    assert told(house, metrics.ENGINES_WAITING) == {(): 0}
    assert told(house, metrics.ROLE_DAYS_LEFT) == {}
    assert told(house, metrics.EMERGENCY_STOPS) == {(): 0}


def test_engines_are_counted_by_what_the_portal_knows(house: House) -> None:
    house.enrol(version="1.0.0")
    house.enrol(version="1.0.0")
    house.enrol(version=None)
    house.enrol(needs_approval=True)
    assert told(house, metrics.ENGINES) == {
        (PRODUCT, "enrolled", "1.0.0", "stable"): 2,
        (PRODUCT, "enrolled", "unknown", "stable"): 1,
        (PRODUCT, "waiting", "0.9", "stable"): 1,
    }
    assert told(house, metrics.ENGINES_WAITING) == {(): 1}


def test_who_polls_is_online_and_who_stops_is_late_after_half_an_hour(house: House) -> None:
    polling, silent = house.enrol(), house.enrol()
    house.enrol(needs_approval=True)  # of whom nobody waits to hear
    for engine in (polling, silent):
        house.poll(engine)
    house.tick(seconds=1801)
    house.poll(polling, attempt="att_1")
    house.portal.presence.flush(house.portal.database)
    assert told(house, metrics.ENGINES_ONLINE) == {(PRODUCT,): 1}
    assert told(house, metrics.ENGINES_LATE) == {(PRODUCT,): 1}
    assert told(house, metrics.ATTEMPTS_OPEN) == {(PRODUCT,): 1}


def test_the_number_of_statements_does_not_grow_with_the_fleet(house: House) -> None:
    add_engines(house, 3)
    with counted(house.portal.database) as few:
        measure(house.portal, now=house.now)
    add_engines(house, 300, start=3)
    with counted(house.portal.database) as many:
        readings = measure(house.portal, now=house.now)
    assert len(few) == len(many), many
    assert len([one for one in many if "FROM engines" in one]) == 1, many
    assert sum(one.value for one in readings if one.gauge is metrics.ENGINES) == 303


def test_who_asks_often_asks_the_database_once_in_a_while(house: House) -> None:
    measures = Measures(house.portal)
    with counted(house.portal.database) as statements:
        first = measures.readings(now=house.now)
        house.enrol()
        del statements[:]
        assert measures.readings(now=house.now) == first
    assert statements == []


def test_days_left_are_told_of_every_role_and_of_each_product(house: House) -> None:
    house.publish("1.0.0")
    house.now = house.vendor.now
    days = told(house, metrics.ROLE_DAYS_LEFT)
    assert set(days) == {
        *((role, "") for role in ("root", "timestamp", "snapshot", "targets")),
        ("delegated", PRODUCT),
    }
    lives = {life.name: life for life in house.vendor.view(house.vendor.folder / "cache").roles}
    expected = (lives[PRODUCT].expires - house.now) / timedelta(days=1)
    assert abs(days["delegated", PRODUCT] - expected) < 0.01


def test_days_of_expired_roles_are_below_zero(house: House) -> None:
    house.publish("1.0.0")
    house.tick(days=20 * 365)
    assert all(days < 0 for days in told(house, metrics.ROLE_DAYS_LEFT).values())


def test_free_space_is_told(house: House) -> None:
    assert told(house, metrics.DISK_FREE_BYTES)[()] > 0


def test_without_the_database_the_rest_is_told(house: House, database_away: DatabaseAway) -> None:
    house.publish("1.0.0")
    with database_away(house.portal.database):
        gauges = {one.gauge for one in measure(house.portal, now=house.now)}
    assert gauges == {
        *(metrics.EMERGENCY_STOPS, metrics.ROLE_DAYS_LEFT, metrics.DISK_FREE_BYTES, metrics.CHECK_OK)
    }
