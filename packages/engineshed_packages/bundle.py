"""A bundle: one zip with a part of a TUF repository, for upload, by mail, or on a stick.

    Version.txt                         for people, never trusted
    metadata/…                          all roots and the current set
    targets/<product>/<version>/…       the packages of one release, and its notes; or none

    write_bundle(repository, product, version, platforms=…, output=path)
    write_metadata_bundle(repository, output=path)      no packages: what changed of releases or keys
    with open_bundle(path) as bundle:
        verified = bundle.verify(cache=…, trusted_root=…, now=…, seen=…)
        for target in verified.packages:
            bundle.copy(target, part_file)

It is never extracted: only names that verified metadata lists are opened, every read is bounded. The rule
for older bundles: one whose metadata is older than what is trusted, or was signed with keys the vendor has
replaced since, adds no metadata; its packages are taken where the trusted metadata still lists their
digest, and the answer says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from engineshed_packages.archive import Archive, Item, naming, open_archive, write_archive
from engineshed_packages.digests import Sha256Digester, digest_file
from engineshed_packages.errors import (
    ArchiveRefused,
    ContentMismatch,
    MetadataRefused,
    Missing,
    ReleaseRefused,
)
from engineshed_packages.manifest import MANIFEST_NAME
from engineshed_packages.metadata import NotesFile, Seen, View, issued_of, trusted_view, verify_view
from engineshed_packages.metadata.cache import MetadataCache
from engineshed_packages.repository import Repository
from engineshed_packages.repository.published import Published
from engineshed_packages.repository.releases import packages_in
from engineshed_packages.sources import METADATA_FOLDER, TARGETS_FOLDER, Source, ZipSource
from engineshed_packages.target import ANY, Target, target_path
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

VERSION_NAME = "Version.txt"
MAX_VERSION_TXT_BYTES = 64 * 1024
ROLLBACK = "metadata-rollback"
SIGNATURE = "metadata-signature"
_TIMESTAMP = f"{METADATA_FOLDER}/timestamp.json"
_FIRST_ROOT = f"{METADATA_FOLDER}/1.root.json"
MAX_ROOT_BYTES = 512_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """What a bundle is worth here.

    Attributes:
        view: the verified metadata to judge by: the bundle's, or the trusted one when that is newer.
        older: the bundle's metadata is older than the trusted one and adds nothing to it.
        packages: listed packages whose bytes the bundle holds; not yet hashed. None in one that was
            made without packages.
        notes: the same for files of notes.
    """

    view: View
    older: bool
    packages: tuple[Target, ...]
    notes: tuple[NotesFile, ...]


class Bundle:
    """An open bundle; see ``open_bundle``.

    Raises:
        ArchiveRefused: code ``bundle-is-package``: *archive* is what belongs into a bundle.
    """

    def __init__(self, archive: Archive) -> None:
        if archive.find(MANIFEST_NAME) is not None and archive.find(_TIMESTAMP) is None:
            raise ArchiveRefused(
                "bundle-is-package",
                f"this is a package, not a bundle: it holds {MANIFEST_NAME} and no signed metadata; "
                "take the file that `engineshed-packages bundle` wrote",
            )
        self._archive = archive
        self.source: Source = ZipSource(archive)

    @property
    def has_packages(self) -> bool:
        """Whether anything lies where packages and notes do, listed or not."""
        return any(entry.name.startswith(f"{TARGETS_FOLDER}/") for entry in self._archive.entries)

    def version_txt(self) -> str:
        """What ``Version.txt`` says, for people; empty when there is none.

        Raises:
            ArchiveRefused: it is too large or damaged.
        """
        if self._archive.find(VERSION_NAME) is None:
            return ""
        return self._archive.read(VERSION_NAME, max_bytes=MAX_VERSION_TXT_BYTES).decode("utf-8", "replace")

    def verify(
        self, *, cache: Path, trusted_root: bytes, now: datetime, seen: Seen | None = None
    ) -> VerifiedBundle:
        """Verify the bundle's metadata, or, when it is older than what is trusted, take that instead.

        *cache* is not changed: keep ``view.files`` there when the packages are safe.

        Raises:
            MetadataRefused: as ``verify_view``. ArchiveRefused: the zip is damaged.
        """
        older = False
        try:
            view = verify_view(self.source, cache=cache, trusted_root=trusted_root, now=now, seen=seen)
        except MetadataRefused as err:
            if err.code != ROLLBACK and not self._is_of_earlier_keys(err, cache, trusted_root, now):
                if self._is_anothers(err, cache, now):
                    raise MetadataRefused(
                        SIGNATURE,
                        "this is a bundle of another vendor: it is whole, and signed from another root "
                        f"than the one trusted here; take one of the vendor whose that is ({err.message})",
                    ) from err
                raise
            older = True
            view = trusted_view(cache=cache, trusted_root=trusted_root, now=now, seen=seen)
        return VerifiedBundle(
            view=view,
            older=older,
            packages=tuple(target for target in view.targets if self._holds(target)),
            notes=tuple(notes for notes in view.notes.values() if self._holds(notes)),
        )

    def _is_of_earlier_keys(
        self, err: MetadataRefused, cache: Path, trusted_root: bytes, now: datetime
    ) -> bool:
        """Whether *err* only says that the bundle was made before the vendor replaced keys.

        Then it was genuine by the roots it brings itself. Nothing of its metadata is used, so a thief of
        the earlier keys gains nothing by it.
        """
        return err.code == SIGNATURE and self._is_whole_by(trusted_root, cache, now)

    def _is_anothers(self, err: MetadataRefused, cache: Path, now: datetime) -> bool:
        """Whether the bundle was not altered, but is another vendor's; for the message alone."""
        if err.code != SIGNATURE or self._archive.find(_FIRST_ROOT) is None:
            return False
        return self._is_whole_by(self._archive.read(_FIRST_ROOT, max_bytes=MAX_ROOT_BYTES), cache, now)

    def _is_whole_by(self, root: bytes, cache: Path, now: datetime) -> bool:
        """Whether the bundle's metadata is genuine to those who trust *root* and have seen nothing yet."""
        with MetadataCache(cache).scratch() as scratch:
            try:
                verify_view(self.source, cache=scratch / "alone", trusted_root=root, now=now)
            except MetadataRefused:
                return False
            return True

    def _holds(self, listed: Target | NotesFile) -> bool:
        return self._archive.find(f"{TARGETS_FOLDER}/{listed.download_name}") is not None

    def copy(self, listed: Target | NotesFile, file: BinaryIO) -> None:
        """Copy a listed package or notes to *file*, verified while it passes, synchronised at the end.

        Raises as ``copy_target``; *file* is then to be thrown away.
        """
        copy_target(self.source, listed, file)


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open the bundle at *path*.

    Raises:
        ArchiveRefused: it is no sound zip; code ``bundle-is-package``: it is what belongs into a bundle.
        OSError: it cannot be read.
    """
    with naming(path):
        archive = open_archive(path)
    with archive:
        with naming(path):
            bundle = Bundle(archive)
        yield bundle


def copy_target(source: Source, listed: Target | NotesFile, file: BinaryIO) -> None:
    """Copy what verified metadata lists from any *source* to *file*, from its beginning.

    Raises:
        ContentMismatch: code ``content-mismatch``: other bytes than were signed.
        Missing, SourceRefused, Unavailable, ArchiveRefused: from the source.
        OSError: *file* cannot be written.
    """
    found = Sha256Digester()
    name = f"{TARGETS_FOLDER}/{listed.download_name}"
    with source.open(name, max_bytes=listed.length_bytes) as pieces:
        for piece in pieces:
            found.update(piece)
            file.write(piece)
    if (found.length_bytes, found.sha256) != (listed.length_bytes, listed.sha256):
        raise ContentMismatch(
            "content-mismatch",
            f"{listed.path}: found {found.length_bytes} bytes with SHA-256 {found.sha256}, signed are "
            f"{listed.length_bytes} bytes with {listed.sha256}",
        )
    file.flush()
    os.fsync(file.fileno())


def write_bundle(
    repository: Repository, product: str, version: Version, *, platforms: Sequence[str] = (), output: Path
) -> tuple[Target, ...]:
    """Write the bundle of a release, with packages for *platforms*, all when empty; return the packages.

    Raises:
        ReleaseRefused: code ``release-unknown``: no such release, or not for one of *platforms*.
        Missing: a package's file is not in the repository. MetadataRefused: it cannot be read.
        OSError: *output* cannot be written.
    """
    published = repository.published()
    role = published.roles[published.role_for(target_path(product, version, ANY))].signed
    chosen = tuple(
        target
        for target in packages_in(role)
        if (target.product, target.version) == (product, version)
        and (not platforms or target.platform in platforms)
    )
    absent = set(platforms) - {target.platform for target in chosen}
    if not chosen or absent:
        what = f"{product} {version}" + (f" for {', '.join(sorted(absent))}" if absent else "")
        raise ReleaseRefused("release-unknown", f"{what} was never published here")
    files = {target.download_name: repository.targets / target.download_name for target in chosen}
    for path in {target.notes for target in chosen if target.notes is not None}:
        name = role.targets[path].get_prefixed_paths()[0]
        files[name] = repository.targets / name
    for file in files.values():
        if not file.is_file():
            raise Missing("missing", f"{file} does not exist: the repository is not whole")
    sha1s = [digest_file(repository.targets / target.download_name).sha1 for target in chosen]
    packages = [Item.of_file(f"{TARGETS_FOLDER}/{name}", files[name]) for name in sorted(files)]
    _write(output, published, version_txt(tuple(zip(chosen, sha1s, strict=True))), packages)
    return chosen


def version_txt(packages: Sequence[tuple[Target, str]]) -> str:
    """What ``Version.txt`` says of the packages of one release, each with its SHA-1: for people only."""
    first = packages[0][0]
    published = format_time(max(target.published for target, _ in packages))
    lines = [f"Product:   {first.product}", f"Version:   {first.version}", f"Published: {published}"]
    for target, sha1 in packages:
        lines += [
            "",
            f"Package:   {target.path.rpartition('/')[2]}",
            f"Platform:  {target.platform}",
            f"Bytes:     {target.length_bytes}",
            f"SHA-256:   {target.sha256}",
            f"SHA-1:     {sha1}",
        ]
    return "\n".join(lines) + "\n"


def write_metadata_bundle(repository: Repository, *, output: Path) -> Published:
    """Write a bundle without packages: the vendor's newest word, as on a withdrawal or on new keys.

    Raises:
        MetadataRefused: the repository cannot be read. OSError: *output* cannot be written.
    """
    published = repository.published()
    _write(output, published, _metadata_version_txt(published), [])
    return published


def _write(output: Path, published: Published, version_txt: str, packages: Sequence[Item]) -> None:
    items = [Item.of_bytes(VERSION_NAME, version_txt.encode("utf-8"))]
    items += [Item.of_bytes(f"{METADATA_FOLDER}/{name}", data) for name, data in published.files()]
    write_archive(output, [*items, *packages])


def _metadata_version_txt(published: Published) -> str:
    timestamp = published.timestamp.signed
    issued = issued_of(timestamp)
    lines = [
        "Holds:     signed metadata, no package",
        f"Issued:    {'unknown' if issued is None else format_time(issued)}",
        f"Timestamp: {timestamp.version}",
        f"Root:      {published.root.version}",
    ]
    withdrawn = [
        target for role in published.roles.values() for target in packages_in(role.signed) if target.withdrawn
    ]
    lines += [f"Withdrawn: {target.withdrawal} ({target.platform})" for target in withdrawn]
    return "\n".join(lines) + "\n"
