"""The portal's own rows: identity, order keys, and the generation that tells memories to reload."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from engineshed_packages.enrolment import OrderKey
from engineshed_server.db.models import OrderKeyRow, PortalRow

_ONLY = 1  # the table has one row
ACTIVE = "active"
STANDBY = "standby"


def add_portal(
    session: Session, portal_id: str, *, active: OrderKey, standby: OrderKey, now: datetime
) -> None:
    """Write who this portal is; once, at ``init``."""
    session.add(PortalRow(id=_ONLY, portal_id=portal_id, generation=1, created=now))
    for key, role in ((active, ACTIVE), (standby, STANDBY)):
        session.add(OrderKeyRow(keyid=key.keyid, public=key.public.hex(), role=role, created=now))


def find_portal_id(session: Session) -> str | None:
    """The portal's id, None before ``init``."""
    return session.scalar(select(PortalRow.portal_id).where(PortalRow.id == _ONLY))


def find_order_key(session: Session, role: str) -> OrderKey | None:
    """The public order key with *role* (``ACTIVE`` or ``STANDBY``)."""
    public = session.scalar(select(OrderKeyRow.public).where(OrderKeyRow.role == role))
    return None if public is None else OrderKey.from_hex(public)


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
