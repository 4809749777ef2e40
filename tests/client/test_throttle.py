from __future__ import annotations

from engineshed_client.throttle import Received, Throttle


class Time:
    """A clock that only sleeping and *go* move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += seconds

    def go(self, seconds: float) -> None:
        self.now += seconds


def throttle(time: Time) -> Throttle:
    return Throttle(1000, clock=lambda: time.now, sleep=time.sleep)


def test_pieces_that_come_at_once_are_spread_over_the_time_they_may_take() -> None:
    time = Time()
    throttled = throttle(time)
    for _ in range(10):
        throttled.passed(500)
    assert time.slept == time.now == 5


def test_a_line_that_is_slower_than_that_never_waits() -> None:
    time = Time()
    throttled = throttle(time)
    for _ in range(10):
        time.go(1)
        throttled.passed(500)
    assert time.slept <= 0.5  # the first piece: nobody knows how long it took


def test_a_line_that_stood_still_makes_nothing_up() -> None:
    time = Time()
    throttled = throttle(time)
    throttled.passed(500)
    time.go(3600)
    before = time.slept
    for _ in range(10):
        throttled.passed(500)
    assert time.slept - before >= 4.5


def test_bytes_are_counted_from_where_a_try_began_also_when_it_begins_anew() -> None:
    shown: list[int] = []
    received = Received(1000, lambda position, total: shown.append(position))
    received(1400, 5000)
    received(1500, 5000)
    received(300, 5000)  # the server knew no ranges
    received(700, 5000)
    assert received.number == 500 + 700
    assert shown == [1400, 1500, 300, 700]
