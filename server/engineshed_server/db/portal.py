"""The portal's own rows: identity, order keys, and the generation that tells memories to reload."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from engineshed_packages.enrolment import OrderKey
from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import OrderKeyRow, PortalRow

_ONLY = 1  # the table has one row
ACTIVE = "active"
STANDBY = "standby"
FORMER = "former"


def add_portal(
    session: Session, portal_id: str, *, active: OrderKey, standby: OrderKey, now: datetime
) -> None:
    """Write who this portal is; once, at ``init``."""
    session.add(PortalRow(id=_ONLY, portal_id=portal_id, generation=1, created=now))
    for key, role in ((active, ACTIVE), (standby, STANDBY)):
        add_order_key(session, key, role=role, now=now)


@dataclass(frozen=True, slots=True)
class OrderKeyRecord:
    """A public order key, what it is for, and since when this portal has it."""

    key: OrderKey
    role: str
    created: datetime


def add_order_key(session: Session, key: OrderKey, *, role: str, now: datetime) -> None:
    """Write a new key."""
    session.add(OrderKeyRow(keyid=key.keyid, public=key.public.hex(), role=role, created=now))
    session.flush()


def move_order_key(session: Session, key: OrderKey, *, before: str, after: str) -> bool:
    """The key with the role *before* gets the role *after*; false when its role is another by now."""
    statement = (
        update(OrderKeyRow)
        .where(OrderKeyRow.keyid == key.keyid, OrderKeyRow.role == before)
        .values(role=after)
    )
    return changed_rows(session, statement) == 1


def list_order_keys(session: Session) -> tuple[OrderKeyRecord, ...]:
    """All order keys this portal ever had, the oldest first."""
    rows = session.scalars(select(OrderKeyRow).order_by(OrderKeyRow.created, OrderKeyRow.keyid))
    return tuple(OrderKeyRecord(OrderKey.from_hex(row.public), row.role, row.created) for row in rows)


def find_portal_id(session: Session) -> str | None:
    """The portal's id, None before ``init``."""
    return session.scalar(select(PortalRow.portal_id).where(PortalRow.id == _ONLY))


def get_generation(session: Session) -> int:
    """The number that moves with every change memories must know of; 0 before ``init``."""
    return session.scalar(select(PortalRow.generation).where(PortalRow.id == _ONLY)) or 0


def bump_generation(session: Session) -> None:
    """Tell every process to reload, when this transaction commits."""
    session.execute(
        update(PortalRow).where(PortalRow.id == _ONLY).values(generation=PortalRow.generation + 1)
    )


def lock_portal(session: Session) -> None:
    """Let no other transaction that calls this go on until this one ends: what both count would be wrong.

    SQLite's writing transactions exclude each other anyway, and know no FOR UPDATE.
    """
    session.execute(select(PortalRow.id).where(PortalRow.id == _ONLY).with_for_update())
