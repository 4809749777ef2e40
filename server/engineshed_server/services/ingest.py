"""Ingest: a bundle that somebody uploaded becomes published releases, or nothing at all.

    open the zip → verify its metadata on a copy of the trusted state → hold every listed package against
    what is stored → prove and store the packages → ``publishing``: rows, metadata, rows, trust

The vendor's root comes from ``init``, never from a bundle. Only names that verified metadata lists are
opened. Until the first row is written nothing has changed but blobs nobody knows of; from then on every
step may run twice, so a kill anywhere is healed by uploading the same bundle again (``publishing`` says
why in which order). Ingests exclude each other with a lock that ends with its process.

A bundle whose metadata is older than what is trusted adds none; its packages are taken where the trusted
metadata still lists their digest, and a notice says so. The same bundle twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engineshed_packages.archive import Archive, open_archive
from engineshed_packages.bundle import Bundle, VerifiedBundle
from engineshed_packages.digests import Digester
from engineshed_packages.errors import Conflict as LockConflict
from engineshed_packages.locks import exclusive
from engineshed_packages.manifest import check_package
from engineshed_packages.metadata import View
from engineshed_packages.sources import TARGETS_FOLDER, Source
from engineshed_packages.target import Target
from engineshed_server.db import releases
from engineshed_server.errors import Conflict, Refused, TryLater, format_boundary
from engineshed_server.services import publishing
from engineshed_server.services.portal import Portal
from engineshed_server.services.publishing import StoredPackage
from engineshed_server.storage.disk import disk_errors

PUBLISHED = "published"
UNCHANGED = "unchanged"
LOCK_WAIT_S = 60.0  # a large bundle is hashed and written in less; who waits longer is told to come again
MAX_NOTICES = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestedRelease:
    """A release that became visible, or got another package."""

    product: str
    version: str
    platforms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What one bundle changed.

    Attributes:
        code: ``published`` or ``unchanged``.
        added_metadata: whether newer metadata of the vendor was taken from it.
        notices: sentences for the operator, as that the bundle's metadata is older than what is trusted.
    """

    code: str
    releases: tuple[IngestedRelease, ...]
    added_metadata: bool
    notices: tuple[str, ...]


def _nothing(step: str) -> None:
    """Called at each step; tests stop there."""


def ingest_bundle(
    portal: Portal,
    path: Path,
    *,
    actor: str,
    now: datetime,
    reached: Callable[[str], None] = _nothing,
) -> Ingested:
    """Publish what is new in the bundle at *path*; the file is only read.

    Args:
        reached: called with the name of each step that is done.

    Raises:
        Refused: it is not genuine or not sound; the codes are the format's (``archive-…``,
            ``metadata-…``, ``content-mismatch``, ``package-mismatch``, …).
        Conflict: code ``release-other-bytes``.
        TryLater: ``ingest-busy``, ``disk-full``, ``storage-failed``, ``database-unavailable``.
    """
    with format_boundary(), disk_errors(), _alone(portal, wait_s=LOCK_WAIT_S):
        portal.blobs.sweep()
        healed = publishing.heal(portal, now=now, reached=reached)
        verified, stored, left_out = _verify_and_store(portal, path, now=now, reached=reached)
        added_metadata = portal.metadata.lacks(verified.view.files)
        publishing.record(portal, stored, actor=actor, now=now)
        reached("recorded")
        visible = publishing.publish(portal, verified.view, actor=actor, now=now, reached=reached)
    done = Ingested(
        code=PUBLISHED if added_metadata or visible or healed else UNCHANGED,
        releases=_by_release((*healed, *visible)),
        added_metadata=added_metadata,
        notices=_notices(verified, left_out),
    )
    logger.info("bundle ingested", extra={"code": done.code, "actor": actor, "packages": len(visible)})
    return done


def recover(portal: Portal, *, now: datetime) -> None:
    """At the start of a process: finish what a killed ingest had made public but not yet written down.

    Raises:
        TryLater: ``ingest-busy``: somebody is ingesting, and so recovering, at this moment.
    """
    with format_boundary(), disk_errors(), _alone(portal, wait_s=0):
        publishing.heal(portal, now=now, reached=_nothing)


def _verify_and_store(
    portal: Portal, path: Path, *, now: datetime, reached: Callable[[str], None]
) -> tuple[VerifiedBundle, tuple[StoredPackage, ...], tuple[str, ...]]:
    """What the bundle is worth, its packages that have no row yet, and the names that were left out."""
    with open_archive(path) as archive:
        bundle = Bundle(archive)
        verified = bundle.verify(
            cache=portal.folders.trust,
            trusted_root=portal.identity.root,
            now=now,
            seen=publishing.seen_so_far(portal),
        )
        reached("verified")
        known = _known_packages(portal, verified.view)
        left_out = _unlisted(archive, verified.view)
        stored = _store(portal, bundle.source, packages=verified.packages, known=known, reached=reached)
        return verified, stored, left_out


@contextmanager
def _alone(portal: Portal, *, wait_s: float) -> Iterator[None]:
    """Hold the ingest lock; nobody else verifies, stores or publishes meanwhile.

    Raises:
        TryLater: code ``ingest-busy``.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(portal.folders.ingest_lock, wait_s=wait_s))
        except LockConflict as err:
            message = "another bundle is being ingested; nothing was changed, try again"
            raise TryLater("ingest-busy", message, retry_after_s=10) from err
        yield


def _known_packages(portal: Portal, view: View) -> dict[str, releases.PackageRecord]:
    """What is stored, by path, once it is sure that *view* contradicts none of it.

    Raises:
        Conflict: the metadata lists other bytes for a version that is here.
    """
    with portal.database.read() as session:
        records = releases.list_packages(session)
    known = {(one.target.product, one.target.version, one.target.platform): one.target for one in records}
    for target in view.targets:
        here = known.get((target.product, target.version, target.platform))
        if here is not None and (here.path, here.sha256) != (target.path, target.sha256):
            raise _other_bytes(target.path, found=target.sha256, expected=here.sha256)
    return {one.target.path: one for one in records}


def _other_bytes(path: str, *, found: str, expected: str) -> Conflict:
    return Conflict(
        "release-other-bytes",
        f"{path} comes with SHA-256 {found}, but this version is known with {expected}: "
        "a published version never changes; the vendor must publish a new one",
    )


def _unlisted(archive: Archive, view: View) -> tuple[str, ...]:
    """Names below ``targets/`` that the verified metadata does not list; none of them is opened.

    Raises:
        Conflict: one of them is another package of a version that is listed.
    """
    digests = {target.path: target.sha256 for target in view.targets}
    listed = {target.download_name for target in view.targets}
    listed |= {notes.download_name for notes in view.notes.values()}
    names: list[str] = []
    for entry in archive.entries:
        folder, _, name = entry.name.partition("/")
        if folder != TARGETS_FOLDER or name in listed:
            continue
        parent, _, file_name = name.rpartition("/")
        sha256, _, package_name = file_name.partition(".")
        expected = digests.get(f"{parent}/{package_name}")
        if expected is not None:
            raise _other_bytes(f"{parent}/{package_name}", found=sha256, expected=expected)
        names.append(entry.name)
    return tuple(names)


def _store(
    portal: Portal,
    source: Source,
    *,
    packages: Sequence[Target],
    known: dict[str, releases.PackageRecord],
    reached: Callable[[str], None],
) -> tuple[StoredPackage, ...]:
    """Prove every package of the bundle and store what is not here; returns those without a row."""
    stored: list[StoredPackage] = []
    for target in packages:
        name = f"{TARGETS_FOLDER}/{target.download_name}"
        here = known.get(target.path)
        with source.open(name, max_bytes=target.length_bytes) as pieces:
            whole = portal.blobs.find(target.sha256, length_bytes=target.length_bytes) is not None
            if here is not None and whole:
                _prove(target, pieces)
            else:
                sha1 = _receive(portal, target, pieces=pieces)
                if here is None:
                    stored.append(StoredPackage(target=target, sha1=sha1))
        reached("stored")
    return tuple(stored)


def _receive(portal: Portal, target: Target, *, pieces: Iterable[bytes]) -> str:
    with portal.blobs.receive(pieces, sha256=target.sha256, length_bytes=target.length_bytes) as blob:
        with open_archive(blob.path) as package:
            check_package(package, target)
        blob.keep()
        return blob.digests.sha1


def _prove(target: Target, pieces: Iterable[bytes]) -> None:
    """A damaged bundle is refused although its packages are here already: its owner must hear of it."""
    digester = Digester()
    for piece in pieces:
        digester.update(piece)
    found = digester.result()
    if (found.length_bytes, found.sha256) != (target.length_bytes, target.sha256):
        raise Refused(
            "content-mismatch",
            f"{target.path}: found {found.length_bytes} bytes with SHA-256 {found.sha256}, signed are "
            f"{target.length_bytes} bytes with {target.sha256}",
        )


def _by_release(targets: Iterable[Target]) -> tuple[IngestedRelease, ...]:
    platforms: dict[tuple[str, str], list[str]] = {}
    for target in targets:
        platforms.setdefault((target.product, target.version.text), []).append(target.platform)
    return tuple(
        IngestedRelease(product=product, version=version, platforms=tuple(sorted(names)))
        for (product, version), names in sorted(platforms.items())
    )


def _notices(verified: VerifiedBundle, left_out: Sequence[str]) -> tuple[str, ...]:
    notices: list[str] = []
    if verified.older:
        notices.append(
            "the bundle's metadata is older than what this portal trusts "
            f"(timestamp {verified.view.timestamp_version}): it added none; "
            "packages were taken where the trusted metadata still lists them"
        )
    notices += [f"{name} is not listed by the vendor's metadata and was left out" for name in left_out]
    notices += [f"{name} was left out: {why}" for name, why in verified.view.unusable.items()]
    return tuple(notices[:MAX_NOTICES])
