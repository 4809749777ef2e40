"""How many engines are what: counted by the database, cut here to as many series as monitoring can bear.

Product and version are the engines' own words, so that a flood of lies would be a flood of series. Of each,
the most frequent keep their name and the rest is counted as ``other``; a sum over a label is always right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

UNKNOWN = "unknown"  # the engine has not said its version yet
OTHER = "other"
MAX_PRODUCTS = 10
MAX_VERSIONS = 20  # of one product: more are in use only while something is wrong
MAX_CHANNELS = 10  # of one product

LATE_AFTER = timedelta(seconds=1800)
LATE_POLLS = 3  # missed in a row, where engines poll more seldom than every ten minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineGroup:
    """Engines of which the same is known.

    Attributes:
        version: as last told, None before the first word. online: of ``engines``, those heard of lately.
        at_work: those with an attempt that has not ended.
    """

    product: str
    state: str
    version: str | None
    channel: str
    engines: int
    online: int
    at_work: int


def late_after(poll_s: int) -> timedelta:
    """How long after its last poll an engine is late that polls every *poll_s* seconds."""
    return max(LATE_AFTER, timedelta(seconds=LATE_POLLS * poll_s))


def cut(groups: Iterable[EngineGroup]) -> tuple[EngineGroup, ...]:
    """*groups* with at most so many products, and versions and channels of each; no two of the same name."""
    named = [replace(group, version=group.version or UNKNOWN) for group in groups]
    kept = _most(named, _product, most=MAX_PRODUCTS)
    named = [one if _product(one) in kept else replace(one, product=OTHER) for one in named]
    kept = _most(named, _version, most=MAX_VERSIONS)
    named = [one if _version(one) in kept else replace(one, version=OTHER) for one in named]
    kept = _most(named, _channel, most=MAX_CHANNELS)
    named = [one if _channel(one) in kept else replace(one, channel=OTHER) for one in named]
    sums: dict[tuple[str, str, str | None, str], EngineGroup] = {}
    for group in named:
        name = (group.product, group.state, group.version, group.channel)
        known = sums.get(name)
        sums[name] = group if known is None else _sum(known, group)
    return tuple(sums.values())


def count_by(groups: Iterable[EngineGroup], count: Callable[[EngineGroup], int]) -> Mapping[str, int]:
    """The sums of *count* by product."""
    sums: Counter[str] = Counter()
    for group in groups:
        sums[group.product] += count(group)
    return sums


# A value, and within what it is one of the most frequent.
_Value = tuple[str, str | None]


def _product(group: EngineGroup) -> _Value:
    return "", group.product


def _version(group: EngineGroup) -> _Value:
    return group.product, group.version


def _channel(group: EngineGroup) -> _Value:
    return group.product, group.channel


def _most(
    groups: Iterable[EngineGroup], value_of: Callable[[EngineGroup], _Value], *, most: int
) -> frozenset[_Value]:
    """The *most* frequent values, each within its own; of equal ones the first by name, hence stable."""
    sums: dict[str, Counter[_Value]] = {}
    for group in groups:
        value = value_of(group)
        sums.setdefault(value[0], Counter())[value] += group.engines
    kept: set[_Value] = set()
    for counted in sums.values():
        ranked = sorted(counted.items(), key=lambda one: (-one[1], str(one[0])))
        kept.update(value for value, _ in ranked[:most])
    return frozenset(kept)


def _sum(one: EngineGroup, other: EngineGroup) -> EngineGroup:
    return replace(
        one,
        engines=one.engines + other.engines,
        online=one.online + other.online,
        at_work=one.at_work + other.at_work,
    )
