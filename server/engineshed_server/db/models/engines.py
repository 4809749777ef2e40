"""Engines: how they join, what was last heard of them, what they are ordered, and what came of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from engineshed_server.db.models.base import MARIADB, Base
from engineshed_server.db.types import (
    ADDRESS_CHARS,
    HASH_CHARS,
    ID_CHARS,
    NAME_CHARS,
    NOTES_CHARS,
    BigId,
    LongText,
    UtcDateTime,
)


class EngineRow(Base):
    """An engine; ``state`` is ``waiting``, ``enrolled``, ``rejected`` or ``revoked``.

    ``channel`` is the portal's word. ``secret_no`` counts the secrets it was ever given: access tokens name
    the one they were bought with. ``token_id`` and ``address``: how and from where it joined last.
    ``two_hosts_since``: when two hosts were first seen to poll as it.
    ``configuration``: the number of the one it knows. ``hold_reason``: why it is offered nothing.
    ``notes``: what people write of it. ``revision`` counts the edits of group, channel, hold and notes.
    """

    __tablename__ = "engines"

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    product: Mapped[str] = mapped_column(String(64))
    platform: Mapped[str] = mapped_column(String(32))
    group: Mapped[str] = mapped_column("group_name", String(64))
    channel: Mapped[str] = mapped_column(String(64))
    host_name: Mapped[str] = mapped_column(String(200))
    secret_hash: Mapped[str] = mapped_column(String(HASH_CHARS))
    secret_no: Mapped[int] = mapped_column(server_default="1")
    state: Mapped[str] = mapped_column(String(16), index=True)
    version: Mapped[str | None] = mapped_column(String(64))
    version_at: Mapped[datetime] = mapped_column(UtcDateTime)
    enrolled: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revision: Mapped[int] = mapped_column(default=0, server_default="0")
    token_id: Mapped[str | None] = mapped_column(String(ID_CHARS))
    address: Mapped[str | None] = mapped_column(String(ADDRESS_CHARS))
    two_hosts_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    configuration: Mapped[int] = mapped_column(server_default="1")
    hold_reason: Mapped[str | None] = mapped_column(String(500))
    notes: Mapped[str] = mapped_column(String(NOTES_CHARS), server_default="")


class GroupRow(Base):
    """A group of engines that somebody made; one that engines are in exists without."""

    __tablename__ = "engine_groups"

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class ChannelRow(Base):
    """A channel that somebody made; one that engines follow or releases are in exists without."""

    __tablename__ = "engine_channels"

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    created: Mapped[datetime] = mapped_column(UtcDateTime)


class PresenceRow(Base):
    """An engine's last poll; written once a second for all that polled, newest wins.

    ``boots`` is the domain's ``Boots`` as JSON: the nonces of the last hour, not of the last poll alone.
    """

    __tablename__ = "presence"

    engine_id: Mapped[str] = mapped_column(ForeignKey("engines.id"), primary_key=True)
    seen: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[str | None] = mapped_column(String(64))
    measured_version: Mapped[str | None] = mapped_column(String(64))
    updater_version: Mapped[str] = mapped_column(String(64))
    updater_state: Mapped[str] = mapped_column(String(32))
    attempt: Mapped[str | None] = mapped_column(String(ID_CHARS))
    health: Mapped[str] = mapped_column(String(16))
    seq: Mapped[int] = mapped_column(BigId)
    boot: Mapped[str] = mapped_column(String(64))
    boots: Mapped[str] = mapped_column(LongText)
    skipped: Mapped[str] = mapped_column(LongText)
    address: Mapped[str | None] = mapped_column(String(ADDRESS_CHARS))
    attributes: Mapped[str | None] = mapped_column(LongText)
    capabilities: Mapped[str | None] = mapped_column(LongText)


class EnrolTokenRow(Base):
    """A token with which engines join; only its hash is here.

    ``networks`` holds address ranges with spaces between; ``replaces`` the engine whose place a host takes.
    """

    __tablename__ = "enrol_tokens"

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(HASH_CHARS), unique=True)
    name: Mapped[str] = mapped_column(String(200), server_default="")
    group: Mapped[str] = mapped_column("group_name", String(64))
    product: Mapped[str | None] = mapped_column(String(64))
    networks: Mapped[str] = mapped_column(String(1000), server_default="")
    needs_approval: Mapped[bool] = mapped_column(server_default="0")
    replaces: Mapped[str | None] = mapped_column(String(ID_CHARS))
    uses: Mapped[int | None] = mapped_column()
    uses_left: Mapped[int] = mapped_column()
    expires: Mapped[datetime] = mapped_column(UtcDateTime)
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked: Mapped[datetime | None] = mapped_column(UtcDateTime)


class OrderRow(Base):
    """An order, signed once and sent unchanged; ``state`` is open, answered, refused, superseded or expired.

    ``open_engine`` holds the engine's id while the order is open and NULL afterwards: its unique
    constraint lets one open order per engine exist on every database. An administrator's order (``origin``
    is ``admin``) is signed when the engine polls: until then ``envelope`` and ``keyid`` are empty and ``seq``
    only keeps it apart from others like it. ``claims`` is what is signed then, as the format's ``Order``.
    One to ``configure`` has a place of its own: ``open_engine`` is then the engine's id that begins ``cfg_``;
    and so has one for the updater, which has a ``product``: there it begins ``upd_``.
    """

    __tablename__ = "orders"
    __table_args__ = (UniqueConstraint("engine_id", "keyid", "seq"), MARIADB)

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    engine_id: Mapped[str] = mapped_column(ForeignKey("engines.id"))
    keyid: Mapped[str] = mapped_column(String(HASH_CHARS))
    seq: Mapped[int] = mapped_column(BigId)
    do: Mapped[str] = mapped_column(String(32))
    version: Mapped[str | None] = mapped_column(String(64))
    sha256: Mapped[str | None] = mapped_column(String(HASH_CHARS))
    state: Mapped[str] = mapped_column(String(16))
    open_engine: Mapped[str | None] = mapped_column(String(ID_CHARS), unique=True)
    envelope: Mapped[str] = mapped_column(LongText)
    issued: Mapped[datetime] = mapped_column(UtcDateTime)
    accept_before: Mapped[datetime] = mapped_column(UtcDateTime)
    closed: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answer: Mapped[str | None] = mapped_column(String(64))
    origin: Mapped[str] = mapped_column(String(16), server_default="portal")
    given_by: Mapped[str] = mapped_column(String(200), server_default="portal")
    message: Mapped[str] = mapped_column(String(500), server_default="")
    although_held: Mapped[bool] = mapped_column(server_default="0")
    claims: Mapped[str | None] = mapped_column(LongText)
    configuration: Mapped[int | None] = mapped_column()
    product: Mapped[str | None] = mapped_column(String(64))


class ReportRow(Base):
    """The one final report of an attempt; steps and log lines are JSON lists.

    ``product`` is NULL but for an attempt of the updater to update itself.
    The wide index tells how an engine's last attempt ended without reading the report.
    """

    __tablename__ = "reports"
    __table_args__ = (
        Index(None, "engine_id", "received", "ended", "kind", "outcome", "product"),
        Index(None, "received"),
        MARIADB,
    )

    engine_id: Mapped[str] = mapped_column(ForeignKey("engines.id"), primary_key=True)
    attempt: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    order_id: Mapped[str | None] = mapped_column(String(ID_CHARS))
    kind: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(LongText)
    from_version: Mapped[str | None] = mapped_column(String(64))
    to_version: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[str | None] = mapped_column(String(64))
    measured_version: Mapped[str | None] = mapped_column(String(64))
    sha256: Mapped[str | None] = mapped_column(String(HASH_CHARS))
    probed: Mapped[bool] = mapped_column()
    updater_version: Mapped[str] = mapped_column(String(64))
    steps: Mapped[str] = mapped_column(LongText)
    update_log: Mapped[str] = mapped_column(LongText)
    engine_log: Mapped[str] = mapped_column(LongText)
    started: Mapped[datetime] = mapped_column(UtcDateTime)
    ended: Mapped[datetime] = mapped_column(UtcDateTime)
    received: Mapped[datetime] = mapped_column(UtcDateTime)
    product: Mapped[str | None] = mapped_column(String(64))
