"""The newest that was ever verified of the vendor's repository.

Kept beside TUF's own cache, so that a lost folder does not bring an old repository back to life.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from engineshed_packages.metadata import Seen
from engineshed_packages.versions import Version
from engineshed_server.db.models import FloorRow, RepositoryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRecord:
    """What was verified of one repository; ``expires`` is the earliest expiry among its roles."""

    name: str
    seen: Seen
    expires: datetime


def find_repository(session: Session, name: str) -> RepositoryRecord | None:
    """The record of repository *name*, None before the first bundle."""
    row = session.get(RepositoryRow, name)
    if row is None:
        return None
    return RepositoryRecord(name=row.name, seen=Seen.from_dict(json.loads(row.seen)), expires=row.expires)


def write_repository(session: Session, record: RepositoryRecord) -> bool:
    """Take over what was verified; true when it differs from before.

    The caller holds the ingest lock and got ``seen`` from a verification that knew the one before: it
    only grows, but for a timestamp whose keys were replaced.
    """
    if find_repository(session, record.name) == record:
        return False
    row = session.get(RepositoryRow, record.name)
    if row is None:
        row = RepositoryRow(name=record.name)
        session.add(row)
    row.seen = json.dumps(record.seen.to_dict(), sort_keys=True)
    row.expires = record.expires
    return True


def list_floors(session: Session) -> dict[str, Version]:
    """The highest floor ever signed, by product."""
    return {row.product: Version.parse(row.version) for row in session.scalars(select(FloorRow))}


def raise_floor(session: Session, product: str, *, version: Version) -> bool:
    """Remember a floor that is higher than the one known; true when it was."""
    row = session.get(FloorRow, product)
    if row is None:
        session.add(FloorRow(product=product, version=version.text))
        return True
    if Version.parse(row.version) >= version:
        return False
    row.version = version.text
    return True
