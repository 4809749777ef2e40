"""The portal itself: who it is, what engines know of it, what it has stopped, and what was ever changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from engineshed_server.db.models.base import Base
from engineshed_server.db.types import HASH_CHARS, ID_CHARS, BigId, LongText, UtcDateTime


class PortalRow(Base):
    """One row: who this portal is, and the generation that moves when memory must be reloaded."""

    __tablename__ = "portal"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    portal_id: Mapped[str] = mapped_column(String(ID_CHARS))
    generation: Mapped[int] = mapped_column(BigId)
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class OrderKeyRow(Base):
    """A public order key of the portal; ``role`` is ``active``, ``standby`` or ``former``."""

    __tablename__ = "order_keys"

    keyid: Mapped[str] = mapped_column(String(HASH_CHARS), primary_key=True)
    public: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class ConfigurationRow(Base):
    """What engines know of the portal: both public order keys, and its addresses as a JSON list.

    ``portals`` is NULL as long as nobody has set them. Numbers count up from 1; a row is never changed.
    """

    __tablename__ = "configurations"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    active_key: Mapped[str] = mapped_column(String(64))
    standby_key: Mapped[str] = mapped_column(String(64))
    portals: Mapped[str | None] = mapped_column(LongText)
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class StopRow(Base):
    """An emergency stop; ``product`` and ``channel`` are NULL where it covers all of them.

    ``on_scope`` names what it covers while it is on and is NULL afterwards: its unique constraint lets one
    stop per scope be on.
    """

    __tablename__ = "stops"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    product: Mapped[str | None] = mapped_column(String(64))
    channel: Mapped[str | None] = mapped_column(String(64))
    on_scope: Mapped[str | None] = mapped_column(String(130), unique=True)
    reason: Mapped[str] = mapped_column(String(500))
    began: Mapped[datetime] = mapped_column(UtcDateTime)
    began_by: Mapped[str] = mapped_column(String(200))
    ended: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditRow(Base):
    """Who changed what, when, from where; written in the same transaction as the change.

    ``before`` and ``after`` are JSON objects of what was changed, NULL where there was or is nothing.
    """

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(200), index=True)
    address: Mapped[str | None] = mapped_column(String(64))
    request: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(400), index=True)
    details: Mapped[str] = mapped_column(LongText)
    before: Mapped[str | None] = mapped_column(LongText)
    after: Mapped[str | None] = mapped_column(LongText)
