"""How long an uploader waits, and when it gives up."""

from __future__ import annotations

import pytest

from engineshed_packages.errors import Unavailable
from engineshed_packages.uploads.patience import Patience


class Waits:
    """A clock that only sleeping moves."""

    def __init__(self, give_up_s: float = 600) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self.told: list[str] = []
        self.patience = Patience(give_up_s, tell=self.told.append, sleep=self.sleep, clock=lambda: self.now_s)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def away(*, status: int | None = None, retry_after_s: int | None = None) -> Unavailable:
    message = "portal: the connection broke off"
    return Unavailable("unreachable", message, retry_after_s=retry_after_s, status=status)


def test_before_anything_got_through_there_is_no_patience() -> None:
    waits = Waits()
    with pytest.raises(Unavailable):
        waits.patience.after(away())
    assert waits.slept == []


def test_the_waits_double_up_to_half_a_minute() -> None:
    waits = Waits()
    waits.patience.allow()
    for _ in range(8):
        waits.patience.after(away())
    for wait_s, least_s in zip(waits.slept, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert least_s <= wait_s <= 1.25 * least_s
    assert waits.told[0] == "portal: the connection broke off; trying again in 1 s"


def test_progress_makes_the_waits_short_again() -> None:
    waits = Waits()
    waits.patience.allow()
    for _ in range(5):
        waits.patience.after(away())
    waits.patience.progress()
    waits.patience.after(away())
    assert waits.slept[-1] < 2


def test_what_the_portal_asks_for_is_obeyed() -> None:
    waits = Waits()
    waits.patience.allow()
    waits.patience.after(away(retry_after_s=77, status=503))
    assert waits.slept == [77]


def test_after_so_long_without_progress_it_gives_up_with_the_last_reason() -> None:
    waits = Waits(give_up_s=100)
    waits.patience.allow()
    last = away(status=503)
    with pytest.raises(Unavailable) as caught:
        for _ in range(20):
            waits.patience.after(last)
    assert caught.value is last
    assert 60 < sum(waits.slept) <= 100


def test_a_wait_that_would_outlast_patience_is_not_begun() -> None:
    waits = Waits(give_up_s=100)
    waits.patience.allow()
    with pytest.raises(Unavailable):
        waits.patience.after(away(retry_after_s=101))
    assert waits.slept == []
