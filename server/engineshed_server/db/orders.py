"""Orders: written once with their signed envelope, sent unchanged, closed once.

Two unique constraints guard what code alone could get wrong under load: one open order per engine, and
one ``seq`` per engine and order key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import OrderRow

OPEN = "open"
ANSWERED = "answered"
REFUSED = "refused"
SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order.

    Attributes:
        version, sha256: of the package it installs; None for a verb that installs nothing.
        envelope: the DSSE envelope as JSON text, exactly as it is sent.
        answer: the report's code that closed it.
    """

    order_id: str
    engine_id: str
    keyid: str
    seq: int
    do: str
    version: str | None
    sha256: str | None
    state: str
    envelope: str
    issued: datetime
    accept_before: datetime
    closed: datetime | None
    answer: str | None


_COPIED = tuple(name for name in OrderRecord.__dataclass_fields__ if name != "order_id")


def _record(row: OrderRow) -> OrderRecord:
    return OrderRecord(order_id=row.id, **{name: getattr(row, name) for name in _COPIED})


def add_order(session: Session, record: OrderRecord) -> None:
    """Write a new order; it is open.

    The row is sent at once, so that a second open order of the engine fails here and not at commit.
    """
    values = {name: getattr(record, name) for name in _COPIED}
    session.add(OrderRow(id=record.order_id, open_engine=record.engine_id, **values))
    session.flush()


def find_open_order(session: Session, engine_id: str) -> OrderRecord | None:
    """The engine's open order; there is at most one."""
    row = session.scalar(select(OrderRow).where(OrderRow.open_engine == engine_id))
    return None if row is None else _record(row)


def find_last_refused(
    session: Session, engine_id: str, *, sha256: str, since: datetime
) -> OrderRecord | None:
    """The newest order for the package that the engine refused after *since*."""
    row = session.scalar(
        select(OrderRow)
        .where(OrderRow.engine_id == engine_id, OrderRow.sha256 == sha256)
        .where(OrderRow.state == REFUSED, OrderRow.closed > since)
        .order_by(OrderRow.seq.desc())
        .limit(1)
    )
    return None if row is None else _record(row)


def highest_seq(session: Session, engine_id: str, *, keyid: str) -> int:
    """The highest ``seq`` ever given to the engine under the order key; 0 before the first."""
    query = select(func.max(OrderRow.seq)).where(OrderRow.engine_id == engine_id, OrderRow.keyid == keyid)
    return session.scalar(query) or 0


def close_order(
    session: Session, order_id: str, *, engine_id: str, state: str, answer: str, now: datetime
) -> bool:
    """Open becomes *state*; false when the order is not open, unknown, or another engine's."""
    statement = (
        update(OrderRow)
        .where(OrderRow.id == order_id, OrderRow.open_engine == engine_id, OrderRow.state == OPEN)
        .values(state=state, open_engine=None, closed=now, answer=answer)
    )
    return changed_rows(session, statement) == 1


def list_orders(session: Session, engine_id: str, *, limit: int) -> tuple[OrderRecord, ...]:
    """The engine's last orders, newest first."""
    query = (
        select(OrderRow)
        .where(OrderRow.engine_id == engine_id)
        .order_by(OrderRow.issued.desc(), OrderRow.seq.desc())
        .limit(limit)
    )
    return tuple(_record(row) for row in session.scalars(query))
