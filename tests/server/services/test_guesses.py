from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from engineshed_server.db import throttles
from engineshed_server.services.guesses import (
    FORGET_AFTER,
    FREE_FAILURES,
    count_failure,
    forget_failures,
    source_of,
    wait_left_s,
)
from engineshed_server.services.racing import run_again_when_raced
from tests.server.portals import House


def fail(house: House, source: str, now: datetime) -> None:
    def count() -> None:
        with house.portal.database.write() as session:
            count_failure(session, source, now=now)

    run_again_when_raced(count)


def failures_of(house: House, source: str) -> int | None:
    with house.portal.database.read() as session:
        found = throttles.find_throttle(session, source)
    return None if found is None else found.failures


def test_no_guess_goes_uncounted_however_many_come_at_once(house: House) -> None:
    sources = [source_of("enrol", f"192.0.2.{number}") for number in range(4)]
    for source in sources:
        fail(house, source, house.now)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(fail, house, source, house.now) for source in sources * 5]:
            done.result()
    assert [failures_of(house, source) for source in sources] == [6] * 4


def test_sources_that_are_new_at_once_do_not_stand_in_each_others_way(house: House) -> None:
    sources = [source_of("enrol", f"192.0.2.{number}") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(fail, house, source, house.now) for source in sources]:
            done.result()
    assert [failures_of(house, source) for source in sources] == [1] * 16


def test_what_does_not_count_any_more_is_removed_and_the_rest_stays(house: House) -> None:
    old, young = source_of("enrol", "192.0.2.1"), source_of("enrol", "192.0.2.2")
    fail(house, old, house.now)
    later = house.now + FORGET_AFTER + timedelta(seconds=1)
    for _ in range(FREE_FAILURES + 1):
        fail(house, young, later)
    forget_failures(house.portal.database, now=later)
    assert (failures_of(house, old), failures_of(house, young)) == (None, FREE_FAILURES + 1)
    with house.portal.database.read() as session:
        assert wait_left_s(session, young, now=later) == 2
