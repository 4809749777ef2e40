"""The newest that was ever verified of the vendor's repository.

Kept beside TUF's own cache, so that a lost folder does not bring an old repository back to life. A row that
cannot be read is an error for whoever verifies, and is written anew by the next ingest; a process that only
serves says so and goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from engineshed_packages.errors import PackagesError, VersionUnreadable
from engineshed_packages.jsontext import read_object
from engineshed_packages.metadata import Seen, Speakers
from engineshed_packages.versions import Version
from engineshed_server.db.guard import locked
from engineshed_server.db.models import FloorRow, RepositoryRow, SpeakerRow
from engineshed_server.errors import TryLater

MAX_SEEN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRecord:
    """What was verified of one repository; ``expires`` is the earliest expiry among its roles."""

    name: str
    seen: Seen
    expires: datetime


def find_repository(session: Session, name: str) -> RepositoryRecord | None:
    """The record of repository *name*, None before the first bundle.

    Raises:
        TryLater: code ``trust-unreadable``: the row is damaged.
    """
    row = session.get(RepositoryRow, name)
    if row is None:
        return None
    try:
        seen = Seen.from_dict(read_object(row.seen.encode(), what="seen", max_bytes=MAX_SEEN_BYTES))
    except PackagesError as err:
        message = f"what was verified of repository {name} cannot be read from the database: {err.message}"
        raise TryLater("trust-unreadable", message, retry_after_s=60) from err
    return RepositoryRecord(name=row.name, seen=seen, expires=row.expires)


def write_repository(session: Session, record: RepositoryRecord) -> bool:
    """Take over what was verified; true when it differs from before.

    The caller holds the ingest lock and got ``seen`` from a verification that knew the one before: it
    only grows, but for a timestamp whose keys were replaced.
    """
    row = locked(session, RepositoryRow, record.name)
    seen = json.dumps(record.seen.to_dict(), sort_keys=True)
    if row is not None and (row.seen, row.expires) == (seen, record.expires):
        return False
    if row is None:
        row = RepositoryRow(name=record.name)
        session.add(row)
    row.seen = seen
    row.expires = record.expires
    return True


def list_floors(session: Session) -> dict[str, Version | None]:
    """The highest floor ever signed, by product; None for one that cannot be read."""
    return {row.product: _read_floor(row) for row in session.scalars(select(FloorRow))}


def _read_floor(row: FloorRow) -> Version | None:
    try:
        return Version.parse(row.version)
    except VersionUnreadable:
        return None


def list_speakers(session: Session) -> dict[str, Speakers]:
    """Who signs each product's releases, as last written."""
    return {row.product: _read_speakers(row) for row in session.scalars(select(SpeakerRow))}


def _read_speakers(row: SpeakerRow) -> Speakers:
    return Speakers.from_dict(json.loads(row.speakers))


def write_speakers(session: Session, product: str, *, speakers: Speakers) -> bool:
    """Remember who signs *product*; true when it was somebody else before, named earlier."""
    row = locked(session, SpeakerRow, product)
    if row is None:
        session.add(SpeakerRow(product=product, speakers=json.dumps(speakers.to_dict())))
        return False
    before = _read_speakers(row)
    row.speakers = json.dumps(speakers.newest(before).to_dict())
    return speakers.replace(before)


def forget_floor(session: Session, product: str) -> None:
    """Drop the floor that earlier keys have signed."""
    session.execute(delete(FloorRow).where(FloorRow.product == product))


def raise_floor(session: Session, product: str, *, version: Version) -> bool:
    """Remember a floor that is higher than the one known; true when it was."""
    row = locked(session, FloorRow, product)
    if row is None:
        session.add(FloorRow(product=product, version=version.text))
        return True
    known = _read_floor(row)
    if known is not None and known >= version:
        return False
    row.version = version.text
    return True
