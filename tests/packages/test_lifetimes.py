"""When signatures end, when to warn, when to refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engineshed_packages.errors import KeyUnusable
from engineshed_packages.repository.lifetimes import YEAR, age_of, check_alive, expiry_of

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("role", "years"),
    [("root", 10), ("targets", 5), ("snapshot", 3), ("timestamp", 3), ("sample-engine", 3)],
)
def test_each_role_has_its_life(role: str, years: int) -> None:
    assert expiry_of(role, NOW) == NOW + years * YEAR


@pytest.mark.parametrize(
    ("used", "percent", "warned", "expired"),
    [
        (timedelta(0), 0, False, False),
        (0.79 * 3 * YEAR, 79, False, False),
        (0.8 * 3 * YEAR, 80, True, False),
        (3 * YEAR - timedelta(seconds=1), 99, True, False),
        (3 * YEAR, 100, True, True),
        (9 * YEAR, 300, True, True),
        (-YEAR, 0, False, False),
    ],
)
def test_a_role_is_warned_of_from_80_percent_on(
    used: timedelta, percent: int, warned: bool, expired: bool
) -> None:
    age = age_of("timestamp", expiry_of("timestamp", NOW), now=NOW + used)
    assert (age.used_percent, age.needs_warning, age.expired) == (percent, warned, expired)


def test_days_left_are_counted_down_to_negative_ones() -> None:
    ends = expiry_of("root", NOW)
    assert age_of("root", ends, now=ends - timedelta(days=2, hours=1)).days_left == 2
    assert age_of("root", ends, now=ends + timedelta(days=2)).days_left == -2


def test_a_role_past_its_life_is_refused_and_the_command_that_mends_it_is_named() -> None:
    ages = [age_of(role, expiry_of(role, NOW), now=NOW + 6 * YEAR) for role in ("root", "targets")]
    with pytest.raises(KeyUnusable) as caught:
        check_alive(ages)
    assert caught.value.code == "role-expired"
    assert "refresh --role targets" in caught.value.message
