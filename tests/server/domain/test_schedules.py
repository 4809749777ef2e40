"""When a schedule is due: cron and intervals, zones, both changes of the clock, turns that were missed."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from engineshed_server.domain.schedules import read_timing
from engineshed_server.errors import Refused


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("timing", "zone", "moment", "expected"),
    [
        ("30 2 * * *", "UTC", "2026-11-24 02:29", "2026-11-24 02:30"),
        ("30 2 * * *", "UTC", "2026-11-24 02:30", "2026-11-25 02:30"),
        ("30 2 * * *", "Europe/Paris", "2026-11-24 00:00", "2026-11-24 01:30"),
        ("*/15 * * * 1-5", "Asia/Kolkata", "2026-11-27 18:20", "2026-11-29 18:30"),  # Monday begins there
        ("every 30 min", "UTC", "2026-11-24 02:31", "2026-11-24 03:00"),
        ("every 6 h", "UTC", "2026-11-24 06:00", "2026-11-24 12:00"),
        ("every 1 d", "UTC", "2026-11-24 06:00", "2026-11-25 00:00"),
    ],
)
def test_the_next_slot_comes_after_the_moment(timing: str, zone: str, moment: str, expected: str) -> None:
    assert read_timing(timing, zone=zone).next_after(at(moment)) == at(expected)


def test_what_falls_into_the_hour_that_is_skipped_is_run_at_its_end_once() -> None:
    """Europe/Paris, 29 March 2026: 02:00 is followed by 03:00."""
    timing = read_timing("30 2 * * *", zone="Europe/Paris")
    slots, moment = [], at("2026-03-28 12:00")
    for _ in range(2):
        moment = timing.next_after(moment)
        slots.append(moment)
    assert slots == [at("2026-03-29 01:00"), at("2026-03-30 00:30")]


def test_what_falls_into_the_hour_that_is_shown_twice_is_run_once() -> None:
    """Europe/Paris, 25 October 2026: 03:00 is followed by 02:00."""
    timing = read_timing("30 2 * * *", zone="Europe/Paris")
    slots, moment = [], at("2026-10-24 12:00")
    for _ in range(2):
        moment = timing.next_after(moment)
        slots.append(moment)
    assert slots == [at("2026-10-25 00:30"), at("2026-10-26 01:30")]


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_an_interval_takes_no_notice_of_the_clock(day: str) -> None:
    timing = read_timing("every 30 min", zone="Europe/Paris")
    moment, slots = at(day), []
    for _ in range(8):
        moment = timing.next_after(moment)
        slots.append(moment)
    assert {later - earlier for earlier, later in pairwise(slots)} == {timedelta(minutes=30)}


@pytest.mark.parametrize(
    ("timing", "first", "now", "expected"),
    [
        ("every 30 min", "2026-11-24 01:00", "2026-11-24 05:10", "2026-11-24 05:00"),
        ("every 30 min", "2026-11-24 01:00", "2026-11-24 01:00", "2026-11-24 01:00"),
        ("0 * * * *", "2026-11-24 01:00", "2026-11-24 05:10", "2026-11-24 05:00"),
        ("0 * * * *", "2026-11-24 05:00", "2026-11-24 05:00", "2026-11-24 05:00"),
        ("0 3 1 * *", "2026-11-01 03:00", "2026-11-24 05:00", "2026-11-01 03:00"),
    ],
)
def test_of_the_turns_that_were_missed_the_newest_is_caught_up(
    timing: str, first: str, now: str, expected: str
) -> None:
    assert read_timing(timing, zone="UTC").newest_slot(at(first), at(now)) == at(expected)


@pytest.mark.parametrize(
    "timing",
    [
        "",
        "* * * *",
        "0 0 * * * *",
        "61 * * * *",
        "0 0 30 2 *",
        "every 0 min",
        "every 400 d",
        "every 5 s",
        "x" * 101,
    ],
)
def test_what_is_no_timing_is_refused_and_says_what_one_looks_like(timing: str) -> None:
    with pytest.raises(Refused, match="expected five fields of cron") as caught:
        read_timing(timing, zone="UTC")
    assert caught.value.code == "timing-unreadable"


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "x" * 5000])
def test_a_zone_nobody_knows_is_refused(zone: str) -> None:
    with pytest.raises(Refused) as caught:
        read_timing("every 1 d", zone=zone)
    assert caught.value.code == "zone-unknown"
