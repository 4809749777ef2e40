"""Releases as operators see them, and the files of the TUF tree as engines fetch them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from engineshed_packages.bundle import version_txt
from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.files import read_limited
from engineshed_packages.metadata import NotesFile
from engineshed_packages.notes import MAX_NOTES_BYTES, Notes
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from engineshed_server.db import releases
from engineshed_server.errors import NotFound, format_boundary
from engineshed_server.services.pages import no_place
from engineshed_server.services.portal import Portal


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTarget:
    """A package or notes whose bytes are stored here.

    Attributes:
        listed: what the vendor signed: target path, length and digest.
        path: the file to send.
    """

    listed: Target | NotesFile
    path: Path


@dataclass(frozen=True, slots=True)
class ReleasedPackage:
    """What the vendor signed for one platform; ``sha1`` is to be shown, never trusted."""

    target: Target
    sha1: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of one product as this portal offers it.

    Attributes:
        published: when its first package became visible.
        held: kept back by the portal's admin. hold_reason: why; None when it is not held.
        revision: counts the edits of these.
        packages: one per platform.
        notes: None when the vendor wrote none, or no bundle has brought them here.
    """

    product: str
    version: str
    published: datetime
    held: bool
    hold_reason: str | None
    revision: int
    packages: tuple[ReleasedPackage, ...]
    notes: NotesFile | None

    @property
    def targets(self) -> tuple[Target, ...]:
        """What the vendor signed, one per platform."""
        return tuple(package.target for package in self.packages)

    @property
    def withdrawn(self) -> bool:
        """Whether the vendor has taken back all of it."""
        return all(target.withdrawn for target in self.targets)

    @property
    def version_txt(self) -> bytes:
        """``Version.txt`` of its packages, as the vendor's bundle has it: for people, never trusted."""
        return version_txt([(one.target, one.sha1) for one in self.packages]).encode("utf-8")


def list_releases(portal: Portal) -> tuple[Release, ...]:
    """All published releases, by product, the newest version first."""
    with portal.database.read() as session:
        return _group(releases.list_packages(session), releases.list_notes(session))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePage:
    """Some releases; ``after`` is product and version of the last one, None on the last page."""

    releases: tuple[Release, ...]
    after: tuple[str, str] | None


def page_releases(
    portal: Portal, *, limit: int, product: str | None = None, after: tuple[str, ...] | None = None
) -> ReleasePage:
    """At most *limit* of what ``list_releases`` gives, of one *product* or all, from behind *after*.

    Raises:
        Refused: code ``page-place``.
    """
    place = None if after is None else _place_of(after)
    with portal.database.read() as session:
        packages = releases.page_packages(session, limit=limit + 1, product=product, after=place)
        found = _group(packages, releases.find_notes_of(session, packages))
    page, more = found[:limit], len(found) > limit
    return ReleasePage(releases=page, after=(page[-1].product, page[-1].version) if more else None)


def _place_of(after: tuple[str, ...]) -> tuple[str, Version]:
    product, version = after
    try:
        return product, Version.parse(version)
    except VersionUnreadable as err:
        raise no_place() from err


def list_products(portal: Portal) -> tuple[str, ...]:
    """The products of which something is published."""
    with portal.database.read() as session:
        return releases.list_products(session)


def find_newest_release(portal: Portal, product: str) -> Release | None:
    """The newest published release of *product* that the vendor has not withdrawn, on hold or not."""
    with portal.database.read() as session:
        packages = releases.find_newest_packages(session, product)
        found = _group(packages, releases.find_notes_of(session, packages))
    return next(iter(found), None)


def show_release(portal: Portal, product: str, *, version: str) -> Release:
    """One release; *version* may be spelt differently, as 3.4 for 3.4.0.

    Raises:
        NotFound: code ``release-unknown``.
    """
    try:
        wanted = Version.parse(version)
    except VersionUnreadable as err:
        raise _unknown(product, version) from err
    with portal.database.read() as session:
        packages = releases.find_release_packages(session, product, version=wanted)
        found = _group(packages, releases.find_notes_of(session, packages))
    if not found:
        raise _unknown(product, version)
    return found[0]


def _unknown(product: str, version: str) -> NotFound:
    return NotFound(
        "release-unknown",
        f"no release {product[:64]} {version[:64]} is published here: see the list of releases",
    )


def read_notes(portal: Portal, notes: NotesFile) -> Notes:
    """What the notes of a release say.

    Raises:
        Refused: codes ``notes-format-unknown`` (this version is too old), ``notes-unreadable`` or
            ``file-too-large``.
        NotFound: code ``bytes-missing``.
    """
    stored = _stored(portal, notes)
    with format_boundary():
        return Notes.from_bytes(read_limited(stored.path, MAX_NOTES_BYTES))


def find_target(portal: Portal, download_name: str) -> StoredTarget | None:
    """The package or notes with that name below ``targets/``; no SQL when this process knows it.

    An order may come from a process that knows a release half a second earlier than this one: what is not
    in memory is looked up in the database before it is denied.

    Raises:
        NotFound: code ``bytes-missing``.
    """
    listed = portal.snapshot.current().files.get(download_name)
    if listed is None:
        listed = _look_up(portal, download_name)
    return None if listed is None else _stored(portal, listed)


def find_metadata(portal: Portal, name: str) -> Path | None:
    """The published file of that name, as ``timestamp.json`` or ``3.root.json``; no SQL."""
    return portal.metadata.find(name)


def _stored(portal: Portal, listed: Target | NotesFile) -> StoredTarget:
    path = portal.blobs.find(listed.sha256, length_bytes=listed.length_bytes)
    if path is None:
        raise NotFound(
            "bytes-missing", f"the bytes of {listed.path} are gone from the store: upload its bundle again"
        )
    return StoredTarget(listed=listed, path=path)


def _look_up(portal: Portal, download_name: str) -> Target | NotesFile | None:
    folder, _, file_name = download_name.rpartition("/")
    sha256, _, target_name = file_name.partition(".")
    path = f"{folder}/{target_name}"[:400]
    with portal.database.read() as session:
        package = releases.find_package(session, path)
        listed = releases.find_notes(session, path) if package is None else package.target
    return listed if listed is not None and listed.sha256 == sha256 else None


def _group(records: Iterable[releases.PackageRecord], notes: Mapping[str, NotesFile]) -> tuple[Release, ...]:
    visible = [record for record in records if record.state == releases.PUBLISHED]
    found: list[Release] = []
    for (product, version), group in groupby(
        visible, key=lambda one: (one.target.product, one.target.version)
    ):
        packages = list(group)
        named = (notes.get(one.target.notes) for one in packages if one.target.notes is not None)
        found.append(
            Release(
                product=product,
                version=version.text,
                published=min(one.published for one in packages if one.published is not None),
                held=packages[0].held,
                hold_reason=packages[0].hold_reason,
                revision=packages[0].revision,
                packages=tuple(ReleasedPackage(one.target, one.sha1) for one in packages),
                notes=next(named, None),
            )
        )
    return tuple(found)
