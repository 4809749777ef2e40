"""Engines as people look for them: a page of a list with how each stands, and the figures of all of them.

The figures and the lists behind them ask the same conditions, so that a list has as many lines as its figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engineshed_server.db import engine_lists, engines, places
from engineshed_server.db.engine_lists import FoundEngine
from engineshed_server.domain.engine_lists import EngineSearch, Installed, Kind, Show
from engineshed_server.domain.fleet_counts import late_after
from engineshed_server.domain.newest import is_behind, list_behind, newest_of, rank
from engineshed_server.domain.standing import Signs, Standing, stand
from engineshed_server.services.pages import no_place
from engineshed_server.services.portal import Portal

PAGE_LINES = 50
MAX_PAGE = 1_000_000
MAX_BARS = 12
MAX_SHARES = 6
FAILED = EngineSearch(show=Show.FAILED)
BARRED = {
    engines.WAITING: Standing.WAITING,
    engines.REJECTED: Standing.REJECTED,
    engines.REVOKED: Standing.REVOKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An engine in a list, how it stands, and the newest version for it."""

    engine: FoundEngine
    standing: Standing
    newest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of a list of engines.

    Attributes:
        total: how many there are on all pages. pages: how many of these there are, at least one.
        products, versions, groups, channels: what can be asked for, of all engines.
    """

    search: EngineSearch
    lines: tuple[Line, ...]
    total: int
    pages: int
    products: tuple[str, ...]
    versions: tuple[str, ...]
    groups: tuple[str, ...]
    channels: tuple[str, ...]

    @property
    def first(self) -> int:
        """The number of the first line, counted from 1."""
        return (self.search.page - 1) * PAGE_LINES + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many engines of a bar run this version; *newest*: it is the newest for some of them."""

    version: str | None
    engines: int
    newest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What the enrolled engines of a product that follow a channel run, the newest version first.

    Attributes:
        shares: the most frequent versions.
    """

    product: str
    channel: str
    engines: int
    shares: tuple[Share, ...]

    @property
    def others(self) -> int:
        """How many engines run a version that is none of the shares."""
        return self.engines - sum(share.engines for share in self.shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The fleet in numbers; of the engines that are enrolled, but for ``waiting``."""

    enrolled: int
    online: int
    late: int
    behind: int
    failed: int
    waiting: int
    bars: tuple[Bar, ...]

    @property
    def is_green(self) -> bool:
        """Whether every engine is heard of, has the newest, and came well out of its last attempt."""
        return not (self.late or self.behind or self.failed or self.waiting)


def find_engines(portal: Portal, search: EngineSearch, *, now: datetime) -> Found:
    """The page of *search*.

    Raises:
        Refused: code ``page-place``.
    """
    if not 1 <= search.page <= MAX_PAGE:
        raise no_place()
    candidates = portal.snapshot.current().candidates
    online_since = now - late_after(portal.settings.poll_s)
    with portal.database.read() as session:
        installed = engine_lists.count_installed(session, online_since=online_since)
        behind = list_behind(installed, candidates)
        versions = rank(one.version for one in installed)
        total = engine_lists.count_found(session, search, behind=behind, online_since=online_since)
        page = engine_lists.find_engines(
            session, search, behind=behind, online_since=online_since, versions=versions, limit=PAGE_LINES
        )
        groups, channels = places.count_groups(session), places.count_channels(session)
    return Found(
        search=search,
        lines=tuple(_line(portal, one, online_since=online_since) for one in page),
        total=total,
        pages=max(1, -(-total // PAGE_LINES)),
        products=tuple(sorted({one.kind.product for one in installed})),
        versions=versions[::-1],
        groups=tuple(groups),
        channels=tuple(channels),
    )


def count_figures(portal: Portal, *, now: datetime) -> Figures:
    """The fleet in numbers: two statements, whatever its size."""
    candidates = portal.snapshot.current().candidates
    online_since = now - late_after(portal.settings.poll_s)
    with portal.database.read() as session:
        installed = engine_lists.count_installed(session, online_since=online_since)
        failed = engine_lists.count_found(session, FAILED, behind=(), online_since=online_since)
    enrolled = [one for one in installed if one.state == engines.ENROLLED]
    return Figures(
        enrolled=sum(one.engines for one in enrolled),
        online=sum(one.online for one in enrolled),
        late=sum(one.engines - one.online for one in enrolled),
        behind=sum(
            one.engines for one in enrolled if is_behind(one.version, newest_of(one.kind, candidates))
        ),
        failed=failed,
        waiting=sum(one.engines for one in installed if one.state == engines.WAITING),
        bars=_bars(portal, enrolled),
    )


def _line(portal: Portal, engine: FoundEngine, *, online_since: datetime) -> Line:
    kind = Kind(product=engine.product, platform=engine.platform, channel=engine.channel)
    newest = newest_of(kind, portal.snapshot.current().candidates)
    signs = Signs(
        barred=BARRED.get(engine.state),
        seen=engine.seen,
        late_since=online_since,
        attempt=engine.attempt,
        last_outcome=engine.last_outcome,
        held=engine.hold_reason is not None,
        behind=is_behind(engine.version, newest),
    )
    return Line(engine=engine, standing=stand(signs), newest=None if newest is None else newest.version.text)


def _bars(portal: Portal, enrolled: Sequence[Installed]) -> tuple[Bar, ...]:
    candidates = portal.snapshot.current().candidates
    counts: dict[tuple[str, str], dict[str | None, int]] = {}
    newest: set[tuple[str, str, str | None]] = set()
    for one in enrolled:
        shares = counts.setdefault((one.kind.product, one.kind.channel), {})
        shares[one.version] = shares.get(one.version, 0) + one.engines
        target = newest_of(one.kind, candidates)
        if target is not None and not is_behind(one.version, target):
            newest.add((one.kind.product, one.kind.channel, one.version))
    bars = [
        Bar(
            product=product,
            channel=channel,
            engines=sum(shares.values()),
            shares=tuple(
                Share(version=version, engines=count, newest=(product, channel, version) in newest)
                for version, count in _newest_first(_most(shares))
            ),
        )
        for (product, channel), shares in counts.items()
    ]
    # A flood of lies is no flood of bars.
    bars = sorted(bars, key=lambda bar: bar.engines, reverse=True)[:MAX_BARS]
    return tuple(sorted(bars, key=lambda bar: (bar.product, bar.channel)))


def _most(shares: Mapping[str | None, int]) -> dict[str | None, int]:
    """The versions that most engines run."""
    ranked = sorted(shares.items(), key=lambda one: (-one[1], one[0] or ""))
    return dict(ranked[:MAX_SHARES])


def _newest_first(shares: Mapping[str | None, int]) -> list[tuple[str | None, int]]:
    places_of = {version: place for place, version in enumerate(rank(shares))}
    return sorted(shares.items(), key=lambda one: -1 if one[0] is None else places_of.get(one[0], -1))[::-1]
