"""Engines as people look at them: counted by what they run, and found, sorted and paged by the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    UnaryExpression,
    and_,
    case,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import Session

from engineshed_packages.protocol import REFUSAL
from engineshed_server.db.engines import ENROLLED, REJECTED, REVOKED, WAITING
from engineshed_server.db.models import EngineRow, PresenceRow, ReportRow
from engineshed_server.db.types import UtcDateTime
from engineshed_server.domain.engine_lists import Behind, EngineSearch, Installed, Kind, Show, Sort
from engineshed_server.domain.standing import FAILING

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
MAX_RANKED = 500  # versions by which a list can be sorted; what is beyond comes first

_polled_last = PresenceRow.seen >= EngineRow.version_at
INSTALLED = case((_polled_last, PresenceRow.version), else_=EngineRow.version)
"""What the engine runs, by the later of its last poll and its last report."""
_at_work = case((_polled_last & PresenceRow.attempt.is_not(None), 1), else_=0)
_STATES = {Show.WAITING: WAITING, Show.REJECTED: REJECTED, Show.REVOKED: REVOKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEngine:
    """An engine in a list; ``last_outcome`` and ``last_code`` are of the last attempt that was begun."""

    engine_id: str
    host_name: str
    product: str
    platform: str
    group: str
    channel: str
    version: str | None
    state: str
    hold_reason: str | None
    notes: str
    address: str | None
    seen: datetime | None
    attempt: bool
    health: str | None
    two_hosts: bool
    last_outcome: str | None
    last_code: str | None


def count_installed(session: Session, *, online_since: datetime) -> tuple[Installed, ...]:
    """All engines by kind, version and state: one statement, whatever their number."""
    columns = (EngineRow.product, EngineRow.platform, EngineRow.channel, EngineRow.state)
    version = INSTALLED.label("version")
    online = case((PresenceRow.seen >= online_since, 1), else_=0)
    each = (
        select(*columns, version, online.label("online"))
        .outerjoin(PresenceRow, PresenceRow.engine_id == EngineRow.id)
        .subquery()
    )
    names = (each.c.product, each.c.platform, each.c.channel, each.c.state, each.c.version)
    counts = (
        func.count().label("engines"),
        func.sum(each.c.online).label("online"),
    )
    return tuple(
        Installed(
            kind=Kind(product=row.product, platform=row.platform, channel=row.channel),
            version=row.version,
            state=row.state,
            engines=row.engines,
            online=int(row.online),  # MariaDB sums to decimals
        )
        for row in session.execute(select(*names, *counts).group_by(*names))
    )


def count_found(
    session: Session, search: EngineSearch, *, behind: Sequence[Behind], online_since: datetime
) -> int:
    """How many engines *search* finds on all its pages."""
    query = select(func.count()).select_from(EngineRow)
    query = query.outerjoin(PresenceRow, PresenceRow.engine_id == EngineRow.id)
    return session.scalar(query.where(*_wanted(search, behind, online_since))) or 0


def find_engines(
    session: Session,
    search: EngineSearch,
    *,
    behind: Sequence[Behind],
    online_since: datetime,
    versions: Sequence[str],
    limit: int,
) -> tuple[FoundEngine, ...]:
    """The page of *search*; *versions* there are, the oldest first, for who sorts by them."""
    # Which they are first, and then all of those few: what else is shown is not looked up for the others.
    query = (
        select(EngineRow.id)
        .outerjoin(PresenceRow, PresenceRow.engine_id == EngineRow.id)
        .where(*_wanted(search, behind, online_since))
        .order_by(*_order(search, versions))
        .limit(limit)
        .offset((search.page - 1) * limit)
    )
    ids = tuple(session.scalars(query))
    found = {engine.engine_id: engine for engine in _read(session, ids)} if ids else {}
    return tuple(found[engine_id] for engine_id in ids)


def _read(session: Session, ids: Sequence[str]) -> Iterator[FoundEngine]:
    columns = (
        EngineRow.id.label("engine_id"),
        EngineRow.host_name,
        EngineRow.product,
        EngineRow.platform,
        EngineRow.group.label("group"),
        EngineRow.channel,
        INSTALLED.label("version"),
        EngineRow.state,
        EngineRow.hold_reason,
        EngineRow.notes,
        func.coalesce(PresenceRow.address, EngineRow.address).label("address"),
        PresenceRow.seen,
        _at_work.label("attempt"),
        PresenceRow.health,
        case((EngineRow.two_hosts_since.is_not(None), 1), else_=0).label("two_hosts"),
        _last("outcome").label("last_outcome"),
        _last("code").label("last_code"),
    )
    query = select(*columns).outerjoin(PresenceRow, PresenceRow.engine_id == EngineRow.id)
    for row in session.execute(query.where(EngineRow.id.in_(ids))):
        flags = {"attempt": bool(row.attempt), "two_hosts": bool(row.two_hosts)}
        yield FoundEngine(**{**row._mapping, **flags})


def _last(column: str) -> ColumnElement[str | None]:
    """That column of the engine's last report on an attempt that was begun, its updater's own left out."""
    return (
        select(getattr(ReportRow, column))
        .where(ReportRow.engine_id == EngineRow.id, ReportRow.kind != REFUSAL, ReportRow.product.is_(None))
        .order_by(ReportRow.received.desc(), ReportRow.ended.desc())
        .limit(1)
        .correlate(EngineRow)
        .scalar_subquery()
    )


def _wanted(
    search: EngineSearch, behind: Sequence[Behind], online_since: datetime
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for column, value in (
        (EngineRow.product, search.product),
        (EngineRow.group, search.group),
        (EngineRow.channel, search.channel),
        (INSTALLED, search.version),
    ):
        if value is not None:
            found.append(column == value)
    if search.text is not None:
        texts = (EngineRow.host_name, EngineRow.id, EngineRow.address, PresenceRow.address, EngineRow.notes)
        found.append(or_(*(text.icontains(search.text, autoescape=True) for text in texts)))
    if search.show is not None:
        found.append(EngineRow.state == _STATES.get(search.show, ENROLLED))
        found.append(_shown(search.show, behind, online_since))
    return found


def _shown(show: Show, behind: Sequence[Behind], online_since: datetime) -> ColumnElement[bool]:
    if show is Show.ONLINE:
        return PresenceRow.seen >= online_since
    if show is Show.LATE:
        return or_(PresenceRow.seen.is_(None), PresenceRow.seen < online_since)
    if show is Show.FAILED:
        return _last("outcome").in_(FAILING)
    if show is Show.HELD:
        return EngineRow.hold_reason.is_not(None)
    if show is Show.BEHIND:
        return or_(false(), *map(_is_behind, behind))
    return EngineRow.state == _STATES[show]


def _is_behind(behind: Behind) -> ColumnElement[bool]:
    kind, named = behind.kind, [version for version in behind.versions if version is not None]
    versions = INSTALLED.in_(named)
    return and_(
        EngineRow.product == kind.product,
        EngineRow.platform == kind.platform,
        EngineRow.channel == kind.channel,
        or_(versions, INSTALLED.is_(None)) if None in behind.versions else versions,
    )


def _order(search: EngineSearch, versions: Sequence[str]) -> list[UnaryExpression[Any]]:
    kept = versions[-MAX_RANKED:]
    keys: dict[Sort, SQLColumnExpression[Any]] = {  # texts, times and numbers
        Sort.HOST: func.lower(EngineRow.host_name),
        Sort.PRODUCT: EngineRow.product,
        Sort.GROUP: EngineRow.group,
        Sort.CHANNEL: EngineRow.channel,
        # Databases differ in where NULL comes: who was never heard of is the longest silent.
        Sort.SEEN: func.coalesce(PresenceRow.seen, literal(_NEVER, UtcDateTime())),
        Sort.VERSION: case({text: place for place, text in enumerate(kept)}, value=INSTALLED, else_=-1)
        if kept
        else EngineRow.id,
    }
    key = keys[search.sort]
    return [key.desc() if search.down else key.asc(), EngineRow.id.asc()]
