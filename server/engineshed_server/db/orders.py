"""Orders: written once, signed once, sent unchanged, closed once.

Two unique constraints guard what code alone could get wrong under load: one open order per engine, and
one ``seq`` per engine and order key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from engineshed_packages.jsontext import MAX_INTEGER
from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import OrderRow

OPEN = "open"
ANSWERED = "answered"
REFUSED = "refused"
SUPERSEDED = "superseded"
EXPIRED = "expired"

PORTAL = "portal"  # origins: the portal by itself, because a release is new
ADMIN = "admin"  # or somebody
_UNSIGNED = ""  # the keyid of an order that nobody has signed yet
_LAST = MAX_INTEGER + 1  # stands above every number


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order.

    Attributes:
        keyid, seq, envelope: None until it is signed; *envelope* is the DSSE envelope as JSON text, exactly
            as it is sent.
        version, sha256: of the package it installs; *version* alone of the kept engine it returns to.
        answer: the report's code that closed it, or why it was closed without one.
        origin: ``PORTAL`` or ``ADMIN``. given_by: name of the actor.
        although_held: it is sent although the release is on hold.
        claims: what is to be signed, as the format's ``Order`` in JSON; None when it was signed at once.
        configuration: number of the one that it brings the engine to; None for another verb.
        product: the updater's, when it is about that; None when it is about the engine.
    """

    order_id: str
    engine_id: str
    keyid: str | None
    seq: int | None
    do: str
    version: str | None
    sha256: str | None
    state: str
    envelope: str | None
    issued: datetime
    accept_before: datetime
    closed: datetime | None
    answer: str | None
    origin: str = PORTAL
    given_by: str = PORTAL
    message: str = ""
    although_held: bool = False
    claims: str | None = None
    configuration: int | None = None
    product: str | None = None


_SIGNED = ("keyid", "seq", "envelope")
_COPIED = tuple(name for name in OrderRecord.__dataclass_fields__ if name not in ("order_id", *_SIGNED))


def _record(row: OrderRow) -> OrderRecord:
    # Columns are fields by their names; Any is what getattr gives.
    values: dict[str, Any] = {name: getattr(row, name) for name in _COPIED}
    for name in _SIGNED:
        values[name] = None if row.keyid == _UNSIGNED else getattr(row, name)
    return OrderRecord(order_id=row.id, **values)


def add_order(session: Session, record: OrderRecord) -> None:
    """Write a new order; it is open.

    The row is sent at once, so that a second open order of the engine fails here and not at commit.
    """
    _add(session, record, place=open_place(record.engine_id, record.product))


def open_place(engine_id: str, product: str | None) -> str:
    """What the one open order of an engine, or of its updater, is found by."""
    return engine_id if product is None else f"upd_{engine_id.removeprefix('eng_')}"


def add_configure(session: Session, record: OrderRecord) -> None:
    """Write a new order to change keys or portals; it is open beside another one."""
    _add(session, record, place=_configure_place(record.engine_id))


def _configure_place(engine_id: str) -> str:
    return f"cfg_{engine_id.removeprefix('eng_')}"


def _add(session: Session, record: OrderRecord, *, place: str) -> None:
    values = {name: getattr(record, name) for name in _COPIED}
    keyid, seq = record.keyid, record.seq
    if keyid is None or seq is None:
        keyid = _UNSIGNED
        seq = 1 + highest_seq(session, record.engine_id, keyid=_UNSIGNED)
    row = OrderRow(id=record.order_id, open_engine=place, keyid=keyid, seq=seq, **values)
    row.envelope = record.envelope or ""
    session.add(row)
    session.flush()


def sign_order(session: Session, order_id: str, *, keyid: str, seq: int, envelope: str) -> bool:
    """Give an open order its number and envelope; false when it has them, or is not open any more."""
    statement = (
        update(OrderRow)
        .where(OrderRow.id == order_id, OrderRow.state == OPEN, OrderRow.keyid == _UNSIGNED)
        .values(keyid=keyid, seq=seq, envelope=envelope)
    )
    return changed_rows(session, statement) == 1


def find_open_order(session: Session, engine_id: str, *, product: str | None = None) -> OrderRecord | None:
    """The open order of the engine, or of its updater; there is at most one of each."""
    place = open_place(engine_id, product)
    row = session.scalar(select(OrderRow).where(OrderRow.open_engine == place))
    return None if row is None else _record(row)


def find_open_configure(session: Session, engine_id: str) -> OrderRecord | None:
    """The engine's open order to change keys or portals; there is at most one."""
    row = session.scalar(select(OrderRow).where(OrderRow.open_engine == _configure_place(engine_id)))
    return None if row is None else _record(row)


def find_last_configure(session: Session, engine_id: str, *, number: int) -> OrderRecord | None:
    """The newest order that was to bring the engine to the configuration *number*."""
    row = session.scalar(
        select(OrderRow)
        .where(OrderRow.engine_id == engine_id, OrderRow.configuration == number)
        .order_by(OrderRow.issued.desc(), OrderRow.seq.desc())
        .limit(1)
    )
    return None if row is None else _record(row)


def find_order(session: Session, order_id: str) -> OrderRecord | None:
    """The order of that id."""
    row = session.get(OrderRow, order_id)
    return None if row is None else _record(row)


def list_ordered(session: Session) -> frozenset[str]:
    """The places (``open_place``) in which an administrator's order is open."""
    # Not "IS NOT NULL", which no database here answers from the index.
    query = select(OrderRow.open_engine).where(OrderRow.open_engine > "", OrderRow.origin == ADMIN)
    return frozenset(engine for engine in session.scalars(query) if engine is not None)


def find_last_refused(
    session: Session, engine_id: str, *, sha256: str, since: datetime
) -> OrderRecord | None:
    """The newest of the portal's own orders for the package that the engine refused after *since*."""
    row = session.scalar(
        select(OrderRow)
        .where(OrderRow.engine_id == engine_id, OrderRow.sha256 == sha256, OrderRow.origin == PORTAL)
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
        .where(OrderRow.id == order_id, OrderRow.engine_id == engine_id, OrderRow.state == OPEN)
        .values(state=state, open_engine=None, closed=now, answer=answer[:64])
    )
    return changed_rows(session, statement) == 1


def supersede_order(session: Session, order: OrderRecord, *, now: datetime) -> bool:
    """Open becomes superseded, another order taking the place; false when it is not open any more."""
    return close_order(
        session, order.order_id, engine_id=order.engine_id, state=SUPERSEDED, answer="superseded", now=now
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an order stands among those of its engine: when it was given, its number, its id."""

    issued: datetime
    seq: int
    order_id: str


def place_of(record: OrderRecord) -> Place:
    """The place of *record*; one without a number comes before those with one that were given with it."""
    seq = _LAST if record.seq is None else record.seq
    return Place(issued=record.issued, seq=seq, order_id=record.order_id)


def list_orders(
    session: Session, engine_id: str, *, limit: int, after: Place | None = None
) -> tuple[OrderRecord, ...]:
    """The engine's orders, newest first, from behind the place *after*."""
    seq = case((OrderRow.keyid == _UNSIGNED, _LAST), else_=OrderRow.seq)
    query = (
        select(OrderRow)
        .where(OrderRow.engine_id == engine_id)
        .order_by(OrderRow.issued.desc(), seq.desc(), OrderRow.id.desc())
        .limit(limit)
    )
    if after is not None:
        lower = (seq < after.seq) | ((seq == after.seq) & (OrderRow.id < after.order_id))
        query = query.where((OrderRow.issued < after.issued) | ((OrderRow.issued == after.issued) & lower))
    return tuple(_record(row) for row in session.scalars(query))
