"""Engines by what they are, cut to as many series as monitoring can bear."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from engineshed_server.domain.fleet_counts import (
    MAX_CHANNELS,
    MAX_PRODUCTS,
    MAX_VERSIONS,
    OTHER,
    UNKNOWN,
    EngineGroup,
    count_by,
    cut,
    late_after,
)

GROUP = EngineGroup(
    product="manager",
    state="enrolled",
    version="1.0",
    channel="stable",
    engines=10,
    online=7,
    at_work=1,
)


def test_a_fleet_of_few_kinds_is_told_as_it_is() -> None:
    groups = (GROUP, replace(GROUP, version="1.1"), replace(GROUP, state="revoked"))
    assert cut(groups) == groups


def test_an_engine_that_has_not_said_its_version_is_told_so() -> None:
    assert [group.version for group in cut([replace(GROUP, version=None)])] == [UNKNOWN]


def test_of_a_products_versions_the_most_frequent_keep_their_name() -> None:
    many = [replace(GROUP, version=f"1.{n}", engines=n + 1) for n in range(MAX_VERSIONS + 5)]
    found = {group.version: group.engines for group in cut(many)}
    assert len(found) == MAX_VERSIONS + 1
    assert found[OTHER] == 1 + 2 + 3 + 4 + 5
    assert "1.5" in found


def test_the_versions_of_one_product_do_not_push_out_those_of_another() -> None:
    many = [replace(GROUP, version=f"1.{n}", engines=100) for n in range(MAX_VERSIONS)]
    rare = replace(GROUP, product="agent", version="9.9", engines=1)
    assert rare in cut([*many, rare])


def test_a_flood_of_everything_at_once_is_bounded_and_its_sums_are_right() -> None:
    flood = [
        replace(GROUP, product=f"p{p}", version=f"{v}.0", channel=f"c{c}", state=state)
        for p in range(15)
        for v in range(25)
        for c in range(12)
        for state in ("enrolled", "waiting")
    ]
    found = cut(flood)
    assert len({group.product for group in found}) == MAX_PRODUCTS + 1
    assert len(found) <= (MAX_PRODUCTS + 1) * (MAX_VERSIONS + 1) * (MAX_CHANNELS + 1) * 2
    assert sum(group.engines for group in found) == sum(group.engines for group in flood)
    assert sum(group.online for group in found) == sum(group.online for group in flood)
    assert sum(group.at_work for group in found) == sum(group.at_work for group in flood)
    names = [(group.product, group.state, group.version, group.channel) for group in found]
    assert len(names) == len(set(names))


def test_of_equally_frequent_ones_always_the_same_are_named() -> None:
    many = [replace(GROUP, version=f"{n:02}.0") for n in range(MAX_VERSIONS + 3)]
    assert {group.version for group in cut(many)} == {group.version for group in cut(reversed(many))}


def test_counts_are_summed_by_product() -> None:
    groups = (GROUP, replace(GROUP, version="1.1"), replace(GROUP, product="agent", online=2))
    assert dict(count_by(groups, lambda group: group.online)) == {"manager": 14, "agent": 2}


def test_engines_are_late_after_half_an_hour_or_three_polls() -> None:
    assert late_after(60) == timedelta(minutes=30)
    assert late_after(3600) == timedelta(hours=3)
