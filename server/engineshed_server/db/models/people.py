"""People and their programs: who they are, what proves it, and what they have guessed or asked for before."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from engineshed_server.db.models.base import Base
from engineshed_server.db.types import ADDRESS_CHARS, HASH_CHARS, ID_CHARS, NAME_CHARS, LongText, UtcDateTime


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
