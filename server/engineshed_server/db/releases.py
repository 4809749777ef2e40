"""Releases, their packages and their notes.

A package's row is ``arriving`` from when its bytes are safe until its metadata is public, then
``published``; ``delisted`` when the vendor's newest metadata no longer lists these bytes. Only published
ones are offered or shown; arriving ones can already be downloaded, so that nobody who sees the metadata
first finds a hole. Notes have no state of their own: they are shown with a release whose package names them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from engineshed_packages.metadata import NotesFile
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import NotesRow, PackageRow, ReleaseRow

ARRIVING = "arriving"
PUBLISHED = "published"
DELISTED = "delisted"

# As ``_custom`` writes it; quotes within a text are escaped, so that it stands nowhere else.
_WITHDRAWN = '%"withdrawn": 1%'


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRecord:
    """One package whose bytes are stored here, and what the portal adds to it.

    Attributes:
        held: the release is kept back by the portal's admin. hold_reason: why, None when it is not held.
        revision: counts the edits of the release.
        published: when engines could first be offered it, None while it is arriving.
    """

    package_id: int
    target: Target
    sha1: str
    state: str
    held: bool
    hold_reason: str | None
    revision: int
    published: datetime | None


def _custom(target: Target) -> str:
    return json.dumps(target.to_custom(), sort_keys=True)


def _query() -> Select[PackageRow, ReleaseRow]:
    return select(PackageRow, ReleaseRow).join(ReleaseRow, ReleaseRow.id == PackageRow.release_id)


def _record(found: Row[PackageRow, ReleaseRow]) -> PackageRecord:
    row, release = found
    target = Target.from_custom(
        row.path, length_bytes=row.length_bytes, sha256=row.sha256, custom=json.loads(row.custom)
    )
    return PackageRecord(
        package_id=row.id,
        target=target,
        sha1=row.sha1,
        state=row.state,
        held=release.held,
        hold_reason=release.hold_reason,
        revision=release.revision,
        published=row.published,
    )


_NEWEST_FIRST = (ReleaseRow.product, ReleaseRow.version_key.desc())


def list_packages(session: Session) -> tuple[PackageRecord, ...]:
    """All packages of all states, by product, newest version first, then platform."""
    return _fetch(session, _query())


def list_products(session: Session) -> tuple[str, ...]:
    """The products of which a package is published."""
    statement = select(ReleaseRow.product).where(_has_package()).distinct().order_by(ReleaseRow.product)
    return tuple(session.scalars(statement))


def page_packages(
    session: Session, *, limit: int, product: str | None = None, after: tuple[str, Version] | None = None
) -> tuple[PackageRecord, ...]:
    """The published packages of at most *limit* releases, in the order of ``list_packages``.

    Args:
        product: of one product only. after: product and version of the last release that was listed before.
    """
    page = select(ReleaseRow.id).where(_has_package()).order_by(*_NEWEST_FIRST).limit(limit)
    if product is not None:
        page = page.where(ReleaseRow.product == product)
    if after is not None:
        name, version = after
        older = and_(ReleaseRow.product == name, ReleaseRow.version_key < version.sort_key)
        page = page.where(or_(ReleaseRow.product > name, older))
    return _fetch_published(session, page)


def find_newest_packages(session: Session, product: str) -> tuple[PackageRecord, ...]:
    """The published packages of the newest release that the vendor has not withdrawn; none without one."""
    newest = (
        select(ReleaseRow.id)
        .where(ReleaseRow.product == product, _has_package(PackageRow.custom.not_like(_WITHDRAWN)))
        .order_by(*_NEWEST_FIRST)
        .limit(1)
    )
    return _fetch_published(session, newest)


def find_release_packages(session: Session, product: str, *, version: Version) -> tuple[PackageRecord, ...]:
    """The published packages of one release."""
    where = (ReleaseRow.product == product, ReleaseRow.version_key == version.sort_key)
    return _fetch(session, _query().where(*where, PackageRow.state == PUBLISHED))


def _has_package(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    return (
        select(PackageRow.id)
        .where(PackageRow.release_id == ReleaseRow.id, PackageRow.state == PUBLISHED, *where)
        .exists()
    )


def _fetch_published(session: Session, ids: Select[int]) -> tuple[PackageRecord, ...]:
    """The packages of the releases with those *ids*, joined: MariaDB takes no LIMIT within IN."""
    page = ids.subquery()
    statement = _query().join(page, page.c.id == ReleaseRow.id).where(PackageRow.state == PUBLISHED)
    return _fetch(session, statement)


def _fetch(session: Session, statement: Select[PackageRow, ReleaseRow]) -> tuple[PackageRecord, ...]:
    ordered = statement.order_by(*_NEWEST_FIRST, PackageRow.platform)
    return tuple(_record(found) for found in session.execute(ordered))


def find_package(session: Session, path: str) -> PackageRecord | None:
    """The package with the target path *path*."""
    found = session.execute(_query().where(PackageRow.path == path)).one_or_none()
    return None if found is None else _record(found)


def add_package(session: Session, target: Target, *, sha1: str, now: datetime) -> None:
    """Write the row of a package whose bytes are safe; its release's row too when it is the first.

    It takes the place of a package that keys the vendor has replaced since had signed as the same version.
    """
    release = session.scalar(
        select(ReleaseRow)
        .where(ReleaseRow.product == target.product)
        .where(ReleaseRow.version_key == target.version.sort_key)
    )
    if release is None:
        release = ReleaseRow(
            product=target.product,
            version=target.version.text,
            version_key=target.version.sort_key,
            held=False,
            arrived=now,
        )
        session.add(release)
        session.flush()
    elif release.version != target.version.text:
        statement = update(ReleaseRow).where(ReleaseRow.id == release.id)
        changed_rows(session, statement.values(version=target.version.text))
    values = {
        "path": target.path,
        "sha256": target.sha256,
        "sha1": sha1,
        "length_bytes": target.length_bytes,
        "custom": _custom(target),
        "state": ARRIVING,
        "published": None,
    }
    where = (PackageRow.release_id == release.id, PackageRow.platform == target.platform)
    if changed_rows(session, update(PackageRow).where(*where).values(values)) == 0:
        session.add(PackageRow(release_id=release.id, platform=target.platform, **values))


def drop_notes(session: Session, notes: NotesFile) -> None:
    """Forget notes that keys the vendor has replaced since had signed."""
    session.execute(delete(NotesRow).where(NotesRow.path == notes.path))


def add_notes(session: Session, notes: NotesFile, *, now: datetime) -> None:
    """Write the row of notes whose bytes are safe, in place of those that earlier keys had signed."""
    values = {"sha256": notes.sha256, "length_bytes": notes.length_bytes, "arrived": now}
    if changed_rows(session, update(NotesRow).where(NotesRow.path == notes.path).values(values)) == 0:
        session.add(NotesRow(path=notes.path, **values))


def find_notes(session: Session, path: str) -> NotesFile | None:
    """The notes with the target path *path*."""
    row = session.get(NotesRow, path)
    return None if row is None else _notes(row)


def list_notes(session: Session) -> dict[str, NotesFile]:
    """All notes, by target path."""
    return {row.path: _notes(row) for row in session.scalars(select(NotesRow))}


def find_notes_of(session: Session, packages: Iterable[PackageRecord]) -> dict[str, NotesFile]:
    """The notes that *packages* name, by target path."""
    paths = {one.target.notes for one in packages if one.target.notes is not None}
    rows = session.scalars(select(NotesRow).where(NotesRow.path.in_(paths)))
    return {row.path: _notes(row) for row in rows}


def _notes(row: NotesRow) -> NotesFile:
    return NotesFile(path=row.path, length_bytes=row.length_bytes, sha256=row.sha256)


def publish_package(session: Session, record: PackageRecord, *, target: Target, now: datetime) -> bool:
    """Make a package visible, with the terms the vendor's newest metadata gives it; true when new.

    The state is guarded: of two that publish, one is told that it did.
    """
    _rewrite(session, record, target=target)
    if record.state == PUBLISHED:
        return False
    first = now if record.published is None else record.published
    return _move(session, record, state=PUBLISHED, published=first)


def change_terms(session: Session, record: PackageRecord, *, target: Target) -> bool:
    """Take over channel, severity, floor, withdrawn and message as now signed; true when they differ."""
    return _rewrite(session, record, target=target)


def delist_package(session: Session, record: PackageRecord) -> bool:
    """Hide a package the vendor no longer lists; true when it was visible."""
    return record.state == PUBLISHED and _move(session, record, state=DELISTED, published=record.published)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Whether a release is kept back, why, and how often that was changed."""

    held: bool
    reason: str | None
    revision: int


def lock_hold(session: Session, product: str, *, version: Version) -> Hold | None:
    """The hold of a release, whose row is held until the transaction ends; None when there is no release."""
    row = session.scalar(
        select(ReleaseRow)
        .where(ReleaseRow.product == product, ReleaseRow.version_key == version.sort_key)
        .with_for_update()
    )
    return None if row is None else Hold(held=row.held, reason=row.hold_reason, revision=row.revision)


def set_hold(session: Session, product: str, *, version: Version, reason: str | None) -> bool:
    """Keep a release back for *reason*, or let it go with None; false when there was nothing to change."""
    statement = (
        update(ReleaseRow)
        .where(ReleaseRow.product == product, ReleaseRow.version_key == version.sort_key)
        .where(ReleaseRow.held.is_(reason is None))
        .values(held=reason is not None, hold_reason=reason, revision=ReleaseRow.revision + 1)
    )
    return changed_rows(session, statement) == 1


def _rewrite(session: Session, record: PackageRecord, *, target: Target) -> bool:
    if _custom(record.target) == _custom(target):
        return False
    statement = update(PackageRow).where(PackageRow.id == record.package_id).values(custom=_custom(target))
    return changed_rows(session, statement) == 1


def _move(session: Session, record: PackageRecord, *, state: str, published: datetime | None) -> bool:
    statement = (
        update(PackageRow)
        .where(PackageRow.id == record.package_id, PackageRow.state == record.state)
        .values(state=state, published=published)
    )
    return changed_rows(session, statement) == 1
