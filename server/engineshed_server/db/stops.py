"""Emergency stops: written when they begin, closed when they end, never deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import EngineRow, StopRow
from engineshed_server.domain.stops import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRecord:
    """A stop that is on, since when, and who gave it."""

    stop_id: int
    stop: Stop
    began: datetime
    began_by: str


def _scope(product: str | None, channel: str | None) -> str:
    # No name of a product or channel has these characters.
    return f"{product or '*'}/{channel or '*'}"


def add_stop(session: Session, stop: Stop, *, by: str, now: datetime) -> StopRecord:
    """Write a stop that begins; another one that is on for the same scope makes this fail at once."""
    row = StopRow(
        product=stop.product,
        channel=stop.channel,
        on_scope=_scope(stop.product, stop.channel),
        reason=stop.reason,
        began=now,
        began_by=by[:200],
        ended=None,
    )
    session.add(row)
    session.flush()
    return _record(row)


def find_stop(session: Session, product: str | None, channel: str | None) -> StopRecord | None:
    """The stop that is on for exactly that scope."""
    row = session.scalar(select(StopRow).where(StopRow.on_scope == _scope(product, channel)))
    return None if row is None else _record(row)


def end_stop(session: Session, product: str | None, channel: str | None, *, now: datetime) -> bool:
    """End the stop that is on for exactly that scope; false when none is."""
    statement = (
        update(StopRow).where(StopRow.on_scope == _scope(product, channel)).values(on_scope=None, ended=now)
    )
    return changed_rows(session, statement) == 1


def list_stops(session: Session) -> tuple[StopRecord, ...]:
    """All stops that are on, the oldest first."""
    # Not "IS NOT NULL", which no database here answers from the index.
    query = select(StopRow).where(StopRow.on_scope > "").order_by(StopRow.id)
    return tuple(_record(row) for row in session.scalars(query))


def count_engines(session: Session, product: str | None, channel: str | None, *, state: str) -> int:
    """How many engines in *state* belong to the product and follow the channel; None is any."""
    query = select(func.count()).where(EngineRow.state == state)
    if product is not None:
        query = query.where(EngineRow.product == product)
    if channel is not None:
        query = query.where(EngineRow.channel == channel)
    return session.scalar(query) or 0


def _record(row: StopRow) -> StopRecord:
    stop = Stop(product=row.product, channel=row.channel, reason=row.reason)
    return StopRecord(stop_id=row.id, stop=stop, began=row.began, began_by=row.began_by)
