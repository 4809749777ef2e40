"""Ingest: a bundle that somebody uploaded becomes published releases, or nothing at all.

    open the zip → verify its metadata on a copy of the trusted state → hold everything it lists against
    what is stored → ``storing``: packages and notes → ``publishing``: rows, metadata, rows, trust

The vendor's root comes from ``init``, never from a bundle. Only names that verified metadata lists are
opened. Until the first row is written nothing has changed but blobs nobody knows of; from then on every
step may run twice, so a kill anywhere is healed by uploading the same bundle again (``publishing`` says
why in which order). Ingests exclude each other with a lock that ends with its process.

A bundle whose metadata is older than what is trusted adds none; its packages are taken where the trusted
metadata still lists their digest, and a notice says so. The same bundle twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engineshed_packages.archive import Archive, open_archive
from engineshed_packages.bundle import Bundle, VerifiedBundle
from engineshed_packages.errors import Conflict as LockConflict
from engineshed_packages.locks import exclusive
from engineshed_packages.metadata import NotesFile, View
from engineshed_packages.sources import TARGETS_FOLDER
from engineshed_packages.target import Target
from engineshed_server.db import releases, trust
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.metrics import INGESTS
from engineshed_server.errors import Conflict, ServerError, TryLater, format_boundary
from engineshed_server.services import publishing
from engineshed_server.services.portal import Portal
from engineshed_server.services.storing import Stored, store
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
class VerifiedPackage:
    """A package of the bundle, proven to be what the vendor signed; new here or not.

    Attributes:
        keyids: of the keys that sign the releases of its product.
    """

    product: str
    version: str
    platform: str
    length_bytes: int
    sha256: str
    keyids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What one bundle held and changed.

    Attributes:
        code: ``published`` or ``unchanged``.
        added_metadata: whether newer metadata of the vendor was taken from it.
        notices: sentences for the operator, as that the bundle's metadata is older than what is trusted.
        verified: the packages it holds; of an upload that an older version took in, none is known.
    """

    code: str
    releases: tuple[IngestedRelease, ...]
    added_metadata: bool
    notices: tuple[str, ...]
    verified: tuple[VerifiedPackage, ...] = ()


def _nothing(step: str) -> None:
    """Called at each step; tests stop there."""


def ingest_bundle(
    portal: Portal,
    path: Path,
    *,
    actor: Actor,
    now: datetime,
    name: str | None = None,
    reached: Callable[[str], None] = _nothing,
) -> Ingested:
    """Publish what is new in the bundle at *path*; the file is only read.

    Args:
        name: of the file as its sender calls it, for the log.
        reached: called with the name of each step that is done.

    Raises:
        Refused: it is not genuine or not sound; the codes are the format's (``archive-…``,
            ``metadata-…``, ``content-mismatch``, ``package-mismatch``, …).
        Conflict: code ``release-other-bytes``.
        TryLater: ``ingest-busy``, ``disk-full``, ``storage-failed``, ``database-unavailable``.
    """
    try:
        done = _ingest(portal, path, actor=actor, now=now, reached=reached)
    except ServerError as err:
        portal.meters.count(INGESTS, err.code)
        raise
    portal.meters.count(INGESTS, done.code)
    told = {
        "code": done.code,
        "actor": actor.name,
        "file": path.name if name is None else name,
        "releases": ", ".join(f"{one.product} {one.version}" for one in done.releases) or "none",
        "packages": sum(len(one.platforms) for one in done.releases),
    }
    logger.info("bundle ingested", extra=told)
    return done


def _ingest(
    portal: Portal, path: Path, *, actor: Actor, now: datetime, reached: Callable[[str], None]
) -> Ingested:
    with format_boundary(), disk_errors(), _alone(portal, wait_s=LOCK_WAIT_S):
        portal.blobs.sweep()
        healed = publishing.heal(portal, now=now, reached=reached)
        verified, stored, left_out = _verify_and_store(portal, path, now=now, reached=reached)
        added_metadata = portal.metadata.lacks(verified.view.files)
        publishing.record(portal, stored, actor=actor, now=now)
        reached("recorded")
        visible = publishing.publish(portal, verified.view, actor=actor, now=now, reached=reached)
    return Ingested(
        code=PUBLISHED if added_metadata or visible or healed or stored.notes else UNCHANGED,
        releases=_by_release((*healed, *visible)),
        added_metadata=added_metadata,
        notices=_notices(verified, left_out, stored=stored),
        verified=tuple(_proven(target, verified.view) for target in verified.packages),
    )


def recover(portal: Portal, *, now: datetime) -> None:
    """At the start of a process: finish what a killed ingest had made public but not yet written down.

    Raises:
        TryLater: ``ingest-busy``: somebody is ingesting, and so recovering, at this moment.
    """
    with format_boundary(), disk_errors(), _alone(portal, wait_s=0):
        publishing.heal(portal, now=now, reached=_nothing)


def _verify_and_store(
    portal: Portal, path: Path, *, now: datetime, reached: Callable[[str], None]
) -> tuple[VerifiedBundle, Stored, tuple[str, ...]]:
    """What the bundle is worth, what of it has no row yet, and the names that were left out."""
    with open_archive(path) as archive:
        bundle = Bundle(archive)
        verified = bundle.verify(
            cache=portal.folders.trust,
            trusted_root=portal.identity.root,
            now=now,
            seen=publishing.seen_so_far(portal),
        )
        reached("verified")
        known = _known(portal, verified.view)
        left_out = _unlisted(archive, verified.view)
        stored = store(portal, bundle.source, verified=verified, known=known, reached=reached)
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


def _known(portal: Portal, view: View) -> Mapping[str, Target | NotesFile]:
    """The packages and notes that have a row, by path, once it is sure that *view* contradicts none of them.

    Left out is what a newer view may replace: packages that were hidden, and all that was signed with keys
    the vendor has replaced since. A thief's version must not bar the vendor's own for ever.

    Raises:
        Conflict: the metadata lists other bytes for a version that is here.
    """
    with portal.database.read() as session:
        packages = releases.list_packages(session)
        notes = releases.list_notes(session)
        speakers = trust.list_speakers(session)
    replaced = {name for name, now in view.speakers.items() if now.replace(speakers.get(name))}
    known: dict[str, Target | NotesFile] = {one.target.path: one.target for one in packages}
    by_version = {(one.target.product, one.target.version, one.target.platform): one for one in packages}
    for target in view.targets:
        here = by_version.get((target.product, target.version, target.platform))
        if here is None or (here.target.path, here.target.sha256) == (target.path, target.sha256):
            continue
        if here.state != releases.DELISTED and target.product not in replaced:
            raise _other_bytes(target.path, found=target.sha256, expected=here.target.sha256)
        del known[here.target.path]
    for listed in view.notes.values():
        written = notes.get(listed.path)
        if written is not None and written.sha256 != listed.sha256:
            if listed.path.partition("/")[0] not in replaced:
                raise _other_bytes(listed.path, found=listed.sha256, expected=written.sha256)
            del notes[listed.path]
    return {**notes, **known}


def _other_bytes(path: str, *, found: str, expected: str) -> Conflict:
    return Conflict(
        "release-other-bytes",
        f"{path} comes with SHA-256 {found}, but this version is known with {expected}: "
        "a published version never changes; the vendor must publish a new one",
    )


def _unlisted(archive: Archive, view: View) -> tuple[str, ...]:
    """Names below ``targets/`` that the verified metadata does not list; none of them is opened.

    Raises:
        Conflict: one of them is another package, or other notes, of a version that is listed.
    """
    every: tuple[Target | NotesFile, ...] = (*view.targets, *view.notes.values())
    digests = {one.path: one.sha256 for one in every}
    listed = {one.download_name for one in every}
    names: list[str] = []
    for entry in archive.entries:
        folder, _, name = entry.name.partition("/")
        if folder != TARGETS_FOLDER or name in listed:
            continue
        parent, _, file_name = name.rpartition("/")
        sha256, _, target_name = file_name.partition(".")
        expected = digests.get(f"{parent}/{target_name}")
        if expected is not None:
            raise _other_bytes(f"{parent}/{target_name}", found=sha256, expected=expected)
        names.append(entry.name)
    return tuple(names)


def _proven(target: Target, view: View) -> VerifiedPackage:
    speakers = view.speakers.get(target.product)
    return VerifiedPackage(
        product=target.product,
        version=target.version.text,
        platform=target.platform,
        length_bytes=target.length_bytes,
        sha256=target.sha256,
        keyids=() if speakers is None else speakers.keyids,
    )


def _by_release(targets: Iterable[Target]) -> tuple[IngestedRelease, ...]:
    platforms: dict[tuple[str, str], list[str]] = {}
    for target in targets:
        platforms.setdefault((target.product, target.version.text), []).append(target.platform)
    return tuple(
        IngestedRelease(product=product, version=version, platforms=tuple(sorted(names)))
        for (product, version), names in sorted(platforms.items())
    )


def _notices(verified: VerifiedBundle, left_out: Sequence[str], *, stored: Stored) -> tuple[str, ...]:
    notices: list[str] = []
    if verified.older:
        notices.append(
            "the bundle's metadata is older than what this portal trusts "
            f"(timestamp {verified.view.timestamp_version}), or of keys replaced since: it added none; "
            "packages were taken where the trusted metadata still lists them"
        )
    notices += [f"{name} is not listed by the vendor's metadata and was left out" for name in left_out]
    notices += [f"{name} was left out: {why}" for name, why in verified.view.unusable.items()]
    notices += stored.notices
    return tuple(notices[:MAX_NOTICES])
