"""Turns of schedules: each has one job, whoever takes it; on every database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from engineshed_server.db import jobs
from engineshed_server.db.schedules import ScheduleRecord
from engineshed_server.errors import NotFound, Outdated, Refused
from engineshed_server.services.schedules import (
    DefaultSchedule,
    Wanted,
    change_schedule,
    ensure_schedules,
    list_schedules,
    run_due,
)
from tests.server.portals import ACTOR, House
from tests.server.services.jobs.bells import HeardBell, kinds_of, run

EVERY_HOUR = DefaultSchedule(kind="count", timing="every 1 h")
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def timed(house: House) -> House:
    """A house at 11:50 with a job at each full hour."""
    house.now = NOON - timedelta(minutes=10)
    ensure_schedules(house.portal, [EVERY_HOUR], now=house.now)
    return house


def only(house: House) -> ScheduleRecord:
    (schedule,) = list_schedules(house.portal)
    return schedule


def slots(house: House) -> list[datetime | None]:
    with house.portal.database.read() as session:
        return [job.slot for job in reversed(jobs.list_jobs(session, limit=100))]


def test_a_turn_is_a_job_that_is_rung_for(timed: House) -> None:
    bell = HeardBell()
    assert run_due(timed.portal, bell, now=timed.now) == 0
    timed.now = NOON
    assert run_due(timed.portal, bell, now=timed.now) == 1
    assert run(timed, bell.rung[0], kinds_of(lambda portal, job: None)) == "done"
    assert (only(timed).last_run, only(timed).next_run) == (NOON, NOON + timedelta(hours=1))
    assert run_due(timed.portal, bell, now=timed.now) == 0
    assert slots(timed) == [NOON]


def test_two_schedulers_take_a_turn_once(timed: House) -> None:
    timed.now = NOON
    others, barrier = [timed.reopen() for _ in range(3)], threading.Barrier(3)

    def look(other: House) -> int:
        barrier.wait()
        return run_due(other.portal, HeardBell(), now=NOON)

    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(look, others)) == 1
    assert slots(timed) == [NOON]


def test_of_turns_that_were_missed_one_is_caught_up(timed: House) -> None:
    timed.now = NOON + timedelta(days=3, minutes=5)
    assert run_due(timed.portal, HeardBell(), now=timed.now) == 1
    assert run_due(timed.portal, HeardBell(), now=timed.now) == 0
    assert slots(timed) == [NOON + timedelta(days=3)]
    assert only(timed).next_run == NOON + timedelta(days=3, hours=1)


def test_a_turn_is_left_out_while_an_earlier_job_goes_on(timed: House) -> None:
    bell = HeardBell()
    for hours in (0, 1):
        timed.now = NOON + timedelta(hours=hours)
        run_due(timed.portal, bell, now=timed.now)
    assert slots(timed) == [NOON]
    run(timed, bell.rung[0], kinds_of(lambda portal, job: None))
    timed.now = NOON + timedelta(hours=2)
    assert run_due(timed.portal, bell, now=timed.now) == 1


def test_what_is_switched_off_has_no_turn_and_goes_on_from_when_it_is_switched_on(timed: House) -> None:
    off = Wanted(is_on=False, timing="every 1 h", zone="UTC")
    change_schedule(timed.portal, "count", off, revision=1, actor=ACTOR, now=timed.now)
    timed.now = NOON + timedelta(hours=5, minutes=1)
    assert run_due(timed.portal, HeardBell(), now=timed.now) == 0
    on = Wanted(is_on=True, timing="30 2 * * *", zone="Europe/Paris", node="there")
    changed = change_schedule(timed.portal, "count", on, revision=2, actor=ACTOR, now=timed.now)
    assert changed.next_run == datetime(2026, 11, 25, 1, 30, tzinfo=UTC)
    assert only(timed) == changed
    assert timed.audited().count("schedule-changed") == 2


def test_what_an_admin_changed_stays_when_the_portal_starts_again(timed: House) -> None:
    wanted = Wanted(is_on=False, timing="every 2 h", zone="UTC")
    change_schedule(timed.portal, "count", wanted, revision=None, actor=ACTOR, now=timed.now)
    ensure_schedules(timed.portal, [EVERY_HOUR, DefaultSchedule(kind="other", timing="every 1 d")], now=NOON)
    assert [(one.name, one.timing) for one in list_schedules(timed.portal)] == [
        ("count", "every 2 h"),
        ("other", "every 1 d"),
    ]


def test_a_change_that_cannot_be_is_refused_and_changes_nothing(timed: House) -> None:
    before = only(timed)
    good = Wanted(is_on=True, timing="every 2 h", zone="UTC")

    def change(name: str, wanted: Wanted, revision: int) -> None:
        change_schedule(timed.portal, name, wanted, revision=revision, actor=ACTOR, now=timed.now)

    with pytest.raises(Outdated):
        change("count", good, 7)
    with pytest.raises(NotFound):
        change("nobody", good, 1)
    with pytest.raises(Refused):
        change("count", Wanted(is_on=True, timing="often", zone="UTC"), 1)
    with pytest.raises(Refused):
        change("count", Wanted(is_on=True, timing="every 2 h", zone="UTC", node="x" * 65), 1)
    assert only(timed) == before
