"""How long to wait."""

from __future__ import annotations

import pytest

from engineshed_client.agent.pace import FIRST_REST_S, MAX_REST_S, Rests, poll_wait_s, trouble_wait_s


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 48.0), (0.5, 60.0), (1.0, 72.0)])
def test_polls_are_jittered_to_either_side(chance: float, expected: float) -> None:
    assert poll_wait_s(60, chance) == pytest.approx(expected)


@pytest.mark.parametrize(("troubles", "expected"), [(1, 60), (2, 120), (3, 240), (7, 3600), (1000, 3600)])
def test_trouble_doubles_the_wait_up_to_an_hour(troubles: int, expected: float) -> None:
    assert trouble_wait_s(60, troubles, retry_after_s=None, chance=0.5) == pytest.approx(expected)


def test_a_poll_interval_over_an_hour_is_not_shortened_by_trouble() -> None:
    assert trouble_wait_s(7200, 1, retry_after_s=None, chance=0.5) == pytest.approx(7200)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_what_the_portal_asked_for_is_never_undercut(chance: float) -> None:
    assert trouble_wait_s(1, 1, retry_after_s=600, chance=chance) >= 600


def test_a_short_retry_after_does_not_undo_the_doubling() -> None:
    assert trouble_wait_s(60, 4, retry_after_s=1, chance=0.5) == pytest.approx(480)


def test_what_failed_rests() -> None:
    rests = Rests()
    rests.failed("a", 100)
    assert (rests.is_resting("a", 100 + FIRST_REST_S - 1), rests.is_resting("a", 100 + FIRST_REST_S)) == (
        True,
        False,
    )


def test_what_fails_again_rests_twice_as_long() -> None:
    rests = Rests()
    rests.failed("a", 0)
    rests.failed("a", 100)
    assert rests.is_resting("a", 100 + 2 * FIRST_REST_S - 1)


def test_no_rest_is_longer_than_a_day() -> None:
    rests = Rests()
    for _ in range(100):
        rests.failed("a", 0)
    assert not rests.is_resting("a", MAX_REST_S)


def test_what_went_well_rests_no_more() -> None:
    rests = Rests()
    rests.failed("a", 0)
    rests.went_well("a")
    assert not rests.is_resting("a", 1)


def test_another_thing_does_not_rest() -> None:
    rests = Rests()
    rests.failed("a", 0)
    assert not rests.is_resting("b", 1)
