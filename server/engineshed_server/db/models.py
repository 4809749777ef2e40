"""The tables. Only ``db`` sees these classes; what leaves ``db`` are records.

Rules: every text has a length (MariaDB); times are ``UtcDateTime``; a state is a text changed by a
guarded UPDATE; nothing is deleted that an audit row speaks of; additive migrations only.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from engineshed_server.db.types import (
    ADDRESS_CHARS,
    HASH_CHARS,
    ID_CHARS,
    NAME_CHARS,
    BigId,
    LongText,
    UtcDateTime,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# Texts are compared byte by byte: on MariaDB the default collation finds "A" equal to "a" and "a" to "a ".
MARIADB: dict[str, object] = {
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_nopad_bin",
    "mariadb_engine": "InnoDB",
}


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    __table_args__: tuple[object, ...] | dict[str, object] = MARIADB


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


class RepositoryRow(Base):
    """The newest that was ever verified of a vendor's repository; outlives the folder ``trust``.

    ``seen`` is the format's ``Seen`` as JSON; ``expires`` the earliest expiry among the roles.
    """

    __tablename__ = "repositories"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen: Mapped[str] = mapped_column(LongText)
    expires: Mapped[datetime] = mapped_column(UtcDateTime)


class FloorRow(Base):
    """The highest floor the vendor ever signed for a product."""

    __tablename__ = "floors"

    product: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(64))


class SpeakerRow(Base):
    """Who signs the releases of a product, by the newest metadata: the format's ``Speakers`` as JSON."""

    __tablename__ = "speakers"

    product: Mapped[str] = mapped_column(String(64), primary_key=True)
    speakers: Mapped[str] = mapped_column(LongText)


class ReleaseRow(Base):
    """A version of a product; it is visible as soon as one of its packages is."""

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("product", "version_key"), MARIADB)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    product: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    version_key: Mapped[str] = mapped_column(String(200))
    held: Mapped[bool] = mapped_column(default=False)
    hold_reason: Mapped[str | None] = mapped_column(String(500))
    revision: Mapped[int] = mapped_column(server_default="0")
    arrived: Mapped[datetime] = mapped_column(UtcDateTime)


class PackageRow(Base):
    """One package of a release, whose bytes are in the blob store.

    ``state``: ``arriving`` (bytes here, metadata not yet public), ``published``, or ``delisted`` (the
    vendor's newest metadata no longer lists it). ``custom`` is the target's custom fields as JSON.
    """

    __tablename__ = "packages"
    __table_args__ = (UniqueConstraint("release_id", "platform"), MARIADB)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    platform: Mapped[str] = mapped_column(String(32))
    path: Mapped[str] = mapped_column(String(400), unique=True)
    sha256: Mapped[str] = mapped_column(String(HASH_CHARS), index=True)
    sha1: Mapped[str] = mapped_column(String(40))
    length_bytes: Mapped[int] = mapped_column(BigId)
    custom: Mapped[str] = mapped_column(LongText)
    state: Mapped[str] = mapped_column(String(16))
    published: Mapped[datetime | None] = mapped_column(UtcDateTime)


class NotesRow(Base):
    """The notes of a release, whose bytes are in the blob store; ``path`` is what its targets name."""

    __tablename__ = "notes"

    path: Mapped[str] = mapped_column(String(400), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(HASH_CHARS))
    length_bytes: Mapped[int] = mapped_column(BigId)
    arrived: Mapped[datetime] = mapped_column(UtcDateTime)


class EngineRow(Base):
    """An engine; ``state`` is ``waiting``, ``enrolled``, ``rejected`` or ``revoked``.

    ``channel`` is the portal's word. ``secret_no`` counts the secrets it was ever given: access tokens name
    the one they were bought with. ``token_id`` and ``address``: how and from where it joined last.
    ``two_hosts_since``: when two hosts were first seen to poll as it.
    ``configuration``: the number of the one it knows.
    ``revision`` counts the edits of group and channel.
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


class ApiTokenRow(Base):
    """A token of a person's program; only its hash is here. ``used`` is rough: see ``services.token_use``."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(HASH_CHARS), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    scope: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    expires: Mapped[datetime | None] = mapped_column(UtcDateTime)
    used: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked: Mapped[datetime | None] = mapped_column(UtcDateTime)


class UserRow(Base):
    """A person who may log in; ``name`` never changes, and nobody is ever deleted: the audit speaks of him.

    ``password_hash`` is argon2's own text. ``role`` is one of ``domain.roles``.
    """

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    password_set: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SessionRow(Base):
    """A browser in which somebody is logged in; only the hash of what its cookie holds is here.

    It ends at ``expires``, or when nobody was ``seen`` for too long; a row that is gone has ended.
    """

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(HASH_CHARS), unique=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    seen: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    expires: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    address: Mapped[str | None] = mapped_column(String(ADDRESS_CHARS))
    user_agent: Mapped[str] = mapped_column(String(300))


class OwnerLinkRow(Base):
    """A link that makes an owner, once; only the hash of its secret is here. What was used is gone."""

    __tablename__ = "owner_links"

    token_hash: Mapped[str] = mapped_column(String(HASH_CHARS), primary_key=True)
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    expires: Mapped[datetime] = mapped_column(UtcDateTime)


class UploadRow(Base):
    """A bundle that arrives in pieces; its bytes are a file of that id.

    ``offset_bytes`` is what counts: so many bytes are durable and right, whatever else lies in the file.
    ``token_id`` or ``user_name`` owns it; the other is NULL. ``state`` is one of ``domain.uploads``;
    ``tries`` counts the times a process began to take it in, not before ``not_before``. ``outcome`` is JSON,
    NULL before there is one.
    """

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "state", "not_before"), Index(None, "expires"), MARIADB)

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    token_id: Mapped[str | None] = mapped_column(ForeignKey("api_tokens.id"))
    user_name: Mapped[str | None] = mapped_column(ForeignKey("users.name"))
    address: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    sent_metadata: Mapped[str] = mapped_column(String(1024))
    length_bytes: Mapped[int] = mapped_column(BigId)
    offset_bytes: Mapped[int] = mapped_column(BigId)
    state: Mapped[str] = mapped_column(String(16))
    tries: Mapped[int] = mapped_column()
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(LongText)
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    expires: Mapped[datetime] = mapped_column(UtcDateTime)


class IdempotencyRow(Base):
    """A request with an Idempotency-Key; ``sealed`` is its answer, NULL while it is being carried out."""

    __tablename__ = "idempotency"

    owner: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(HASH_CHARS), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(HASH_CHARS))
    attempt: Mapped[str] = mapped_column(String(ID_CHARS))
    claimed: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    sealed: Mapped[str | None] = mapped_column(LongText)


class ThrottleRow(Base):
    """Failed guesses by one source, as ``enrol:192.0.2.7``, and how long it has to wait."""

    __tablename__ = "throttles"

    source: Mapped[str] = mapped_column(String(200), primary_key=True)
    failures: Mapped[int] = mapped_column()
    failed: Mapped[datetime] = mapped_column(UtcDateTime)
    wait_until: Mapped[datetime] = mapped_column(UtcDateTime)


class OrderRow(Base):
    """An order, signed once and sent unchanged; ``state`` is open, answered, refused, superseded or expired.

    ``open_engine`` holds the engine's id while the order is open and NULL afterwards: its unique
    constraint lets one open order per engine exist on every database. An administrator's order (``origin``
    is ``admin``) is signed when the engine polls: until then ``envelope`` and ``keyid`` are empty and ``seq``
    only keeps it apart from others like it. ``claims`` is what is signed then, as the format's ``Order``.
    One to ``configure`` has a place of its own: ``open_engine`` is then the engine's id that begins ``cfg_``.
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


class ReportRow(Base):
    """The one final report of an attempt; steps and log lines are JSON lists."""

    __tablename__ = "reports"
    __table_args__ = (Index(None, "engine_id", "received"), MARIADB)

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
