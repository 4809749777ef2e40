from __future__ import annotations

import pytest

from engineshed_server.domain.stops import Stop, find_stop

ALL = Stop(product=None, channel=None, reason="all")
MANAGER = Stop(product="manager", channel=None, reason="manager")
BETA = Stop(product=None, channel="beta", reason="beta")
MANAGER_BETA = Stop(product="manager", channel="beta", reason="both")


@pytest.mark.parametrize(
    ("stop", "covered"),
    [
        (ALL, {"manager stable", "manager beta", "portal stable", "portal beta"}),
        (MANAGER, {"manager stable", "manager beta"}),
        (BETA, {"manager beta", "portal beta"}),
        (MANAGER_BETA, {"manager beta"}),
    ],
)
def test_a_stop_covers_what_it_names(stop: Stop, covered: set[str]) -> None:
    pairs = [(product, channel) for product in ("manager", "portal") for channel in ("stable", "beta")]
    found = {f"{product} {channel}" for product, channel in pairs if stop.covers(product, (channel,))}
    assert found == covered


def test_a_release_is_covered_in_its_own_channel_and_in_that_of_the_engine() -> None:
    assert find_stop([MANAGER_BETA], "manager", channels=("stable", "beta")) == MANAGER_BETA
    assert find_stop([MANAGER_BETA], "manager", channels=("stable", "canary")) is None


def test_a_stop_says_what_it_covers_and_why() -> None:
    assert ALL.text == "an emergency stop is on for all products: all"
    assert MANAGER_BETA.text == "an emergency stop is on for channel beta of manager: both"
    assert BETA.scope == "channel beta of all products"
