"""What the vendor has said, what he has released, and bundles on their way in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from engineshed_server.db.models.base import MARIADB, Base
from engineshed_server.db.types import HASH_CHARS, ID_CHARS, BigId, LongText, UtcDateTime


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
