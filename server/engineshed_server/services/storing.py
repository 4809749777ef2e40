"""The bytes of a bundle become blobs: proven, made durable, known to nobody yet.

Every package and every file of notes that the bundle holds is read once: what is not here is received into
the blob store and looked into; what is here is only hashed, because the owner of a damaged bundle must hear
of it. Nothing is kept before all of it was found right. What comes back has no row yet: `publishing` writes
the rows, and only then anybody can ask for it.

Notes are for people. Notes that this version cannot read are genuine all the same: they are stored and
served as they are, and a notice says that they cannot be shown here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from engineshed_packages.archive import open_archive
from engineshed_packages.bundle import VerifiedBundle
from engineshed_packages.digests import Sha256Digester
from engineshed_packages.errors import FileRefused, ReleaseRefused
from engineshed_packages.files import read_limited
from engineshed_packages.manifest import check_package
from engineshed_packages.metadata import NotesFile
from engineshed_packages.notes import MAX_NOTES_BYTES, Notes
from engineshed_packages.sources import TARGETS_FOLDER, Source
from engineshed_packages.target import Target
from engineshed_server.errors import Refused
from engineshed_server.services.portal import Portal
from engineshed_server.storage.blobs import ArrivingBlob


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPackage:
    """A package whose bytes are durable and proven to be what *target* describes."""

    target: Target
    sha1: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What of a bundle is durable now and has no row yet.

    Attributes:
        notices: sentences for the operator.
    """

    packages: tuple[StoredPackage, ...]
    notes: tuple[NotesFile, ...]
    notices: tuple[str, ...]


def store(
    portal: Portal,
    source: Source,
    *,
    verified: VerifiedBundle,
    known: Mapping[str, Target | NotesFile],
    reached: Callable[[str], None],
) -> Stored:
    """Prove and store what the bundle behind *source* holds.

    Args:
        known: packages and notes that have a row, by target path.

    Raises:
        Refused: ``content-mismatch``, and the format's codes for a package that is another inside.
        TryLater: ``disk-full``, ``storage-failed``.
    """
    arrived: dict[str, ArrivingBlob] = {}
    notices: list[str] = []
    with ExitStack() as stack:
        for target in verified.packages:
            blob = _receive(portal, source, target, known=known, stack=stack)
            if blob is not None:
                with open_archive(blob.path) as package:
                    check_package(package, target)
                arrived[target.path] = blob
        for notes in verified.notes:
            blob = _receive(portal, source, notes, known=known, stack=stack)
            if blob is not None:
                notices += _unreadable(notes, blob)
                arrived[notes.path] = blob
        for blob in arrived.values():
            blob.keep()
            reached("stored")
    new = arrived.keys() - known.keys()
    return Stored(
        packages=tuple(
            StoredPackage(target=target, sha1=arrived[target.path].digests.sha1)
            for target in verified.packages
            if target.path in new
        ),
        notes=tuple(notes for notes in verified.notes if notes.path in new),
        notices=tuple(notices),
    )


def _receive(
    portal: Portal,
    source: Source,
    listed: Target | NotesFile,
    *,
    known: Mapping[str, Target | NotesFile],
    stack: ExitStack,
) -> ArrivingBlob | None:
    """The bytes, not yet kept; gone when *stack* is left. None when they were here and are the same."""
    here = portal.blobs.find(listed.sha256, length_bytes=listed.length_bytes) is not None
    name = f"{TARGETS_FOLDER}/{listed.download_name}"
    with source.open(name, max_bytes=listed.length_bytes) as pieces:
        if here and listed.path in known:
            _prove(listed, pieces)
            return None
        arriving = portal.blobs.receive(pieces, sha256=listed.sha256, length_bytes=listed.length_bytes)
        return stack.enter_context(arriving)


def _unreadable(listed: NotesFile, blob: ArrivingBlob) -> list[str]:
    try:
        Notes.from_bytes(read_limited(blob.path, MAX_NOTES_BYTES))
    except (ReleaseRefused, FileRefused) as err:
        return [f"{listed.path} was stored, but cannot be shown here: {err.message}"]
    return []


def _prove(listed: Target | NotesFile, pieces: Iterable[bytes]) -> None:
    found = Sha256Digester()
    for piece in pieces:
        found.update(piece)
    if (found.length_bytes, found.sha256) != (listed.length_bytes, listed.sha256):
        raise Refused(
            "content-mismatch",
            f"{listed.path}: found {found.length_bytes} bytes with SHA-256 {found.sha256}, signed are "
            f"{listed.length_bytes} bytes with {listed.sha256}",
        )
