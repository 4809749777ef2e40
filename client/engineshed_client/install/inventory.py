"""The inventory of an engine that was installed long ago: which files are the vendor's, as they lie there.

Its result is a manifest by which the tree is whole: what proves an engine on every host afterwards proves
this one, patches of the customer included. Files fall into the same classes as in any engine:

- kept and runtime files by the patterns of a release, of the administrator, and what is always kept;
- shipped: what the manifest of this very release lists. Where that is not known, what another release lists
  or what lies in a folder that release ships into; where no release is known, all the rest;
- anything else is unlisted, and goes along into every new engine.

A file that is written to while it is read is the engine's own, and unlisted. Nothing is changed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from engineshed_client.errors import Refused
from engineshed_client.fsops import TEMPORARY_SUFFIX, find_stat
from engineshed_client.install.files import Found, Shape, sha256_no_follow, walk
from engineshed_client.install.trees import ALWAYS_KEPT
from engineshed_packages.archive import check_name
from engineshed_packages.errors import ArchiveRefused, ManifestRefused
from engineshed_packages.manifest import (
    MANIFEST_NAME,
    MAX_FILES,
    FileClass,
    FileEntry,
    Manifest,
    matches,
)
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

# What an interrupted adoption leaves, beside the manifest itself.
_OURS = (MANIFEST_NAME, f".{MANIFEST_NAME}{TEMPORARY_SUFFIX}")
ADOPTED = "adopted"  # field of a manifest that was written by an inventory: when


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """After what an inventory is taken.

    Attributes:
        like: how the engine is started, stopped and probed, and which files are kept and runtime.
        release: the vendor's manifest of this very version; None when it is not known.
        guide: that of another version, to tell the vendor's files from others; None when there is none.
        kept: the administrator's further patterns of kept files.
    """

    like: Manifest
    release: Manifest | None
    guide: Manifest | None
    kept: tuple[str, ...] = ()

    def is_customers(self, path: str) -> bool:
        """Whether the file at *path* is kept or runtime: it is neither hashed nor listed."""
        return matches(path, (*self.like.kept, *self.like.runtime, *ALWAYS_KEPT, *self.kept))

    def is_shipped(self, path: str) -> bool:
        """Whether the file at *path*, which is not the customer's, is the vendor's."""
        if self.release is not None:
            return self.release.find(path) is not None
        if self.guide is None:
            return True
        return self.guide.find(path) is not None or path.partition("/")[0] in _folders(self.guide)


def _folders(manifest: Manifest) -> frozenset[str]:
    """The folders at the top that a release ships into."""
    return frozenset(entry.path.partition("/")[0] for entry in manifest.shipped() if "/" in entry.path)


@dataclass(frozen=True, slots=True)
class Changed:
    """A file of the vendor's that is another than released, and in what."""

    path: str
    how: str

    def __str__(self) -> str:
        return f"{self.path}: {self.how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What distinguishes an engine from its release; what is missing or in no release is told by its path."""

    changed: tuple[Changed, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether a file of the vendor's is another than released, or is missing."""
        return bool(self.changed or self.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What was found.

    Attributes:
        shipped: the vendor's files as they lie there, by path.
        unlisted: paths that no manifest will hold. odd: why some of them are none, by path.
    """

    shipped: Mapping[str, FileEntry]
    unlisted: tuple[str, ...]
    odd: Mapping[str, str] = field(default_factory=dict)

    def differences(self, pattern: Pattern) -> Differences | None:
        """What distinguishes the tree from its release; None when that is not known."""
        if pattern.release is None:
            return None
        changed: list[Changed] = []
        missing: list[str] = []
        for entry in pattern.release.shipped():
            found = self.shipped.get(entry.path)
            if pattern.is_customers(entry.path):
                continue
            if found is None:
                there = self.odd.get(entry.path)
                missing += [entry.path] if there is None else []
                changed += [] if there is None else [Changed(entry.path, there)]
            elif found.sha256 != entry.sha256:
                how = f"{found.size_bytes} bytes, released {entry.size_bytes}"
                changed.append(Changed(entry.path, how))
            elif os.name == "posix" and found.mode != entry.mode:
                changed.append(Changed(entry.path, f"mode {found.mode:04o}, released {entry.mode:04o}"))
        extra = tuple(path for path in self.unlisted if pattern.release.find(path) is None)
        return Differences(changed=tuple(changed), missing=tuple(missing), extra=extra)


def take_inventory(engine: Path, pattern: Pattern) -> Inventory:
    """Look at every file in *engine* and read those that are the vendor's.

    Raises:
        Refused: code ``too-many-files``.
        OSError: a file cannot be looked at or read.
    """
    shipped: dict[str, FileEntry] = {}
    unlisted: list[str] = []
    odd: dict[str, str] = {}
    for found in walk(engine):
        path = found.relative
        if found.shape is Shape.FOLDER or path in _OURS or pattern.is_customers(path):
            continue
        fault = _fault(found) if pattern.is_shipped(path) else ""
        if fault is None:
            entry = _read(found)
            if entry is not None:
                shipped[path] = entry
                continue
            fault = "written to while it was read"
        unlisted.append(path)
        if fault:
            odd[path] = fault
    if len(shipped) > MAX_FILES:
        raise Refused(
            "too-many-files",
            f"{engine} has {len(shipped)} files that count as the vendor's, at most {MAX_FILES} can be "
            "listed: name folders that are not his as kept in updater.toml",
        )
    return Inventory(shipped=shipped, unlisted=tuple(unlisted), odd=odd)


def _fault(found: Found) -> str | None:
    """Why *found* cannot stand in a manifest, None when it can."""
    if found.shape is not Shape.FILE:
        return "no regular file"
    try:
        check_name(found.relative)
    except ArchiveRefused:
        return "a name that is not valid on every system"
    return None


def _read(found: Found) -> FileEntry | None:
    """The entry of a file, None when it is another after it was read."""
    sha256 = sha256_no_follow(found.path)
    after = find_stat(found.path)
    before = found.status
    if after is None or (after.st_size, after.st_mtime_ns, after.st_ino) != (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    ):
        return None
    return FileEntry(
        path=found.relative,
        sha256=sha256,
        size_bytes=before.st_size,
        mode=before.st_mode & 0o777,
        file_class=FileClass.SHIPPED,
    )


def manifest_of(inventory: Inventory, pattern: Pattern, version: Version, *, now: datetime) -> Manifest:
    """The manifest by which the tree is whole: the release's own where nothing of it differs.

    Raises:
        Refused: code ``not-adoptable``: the files cannot stand in one manifest.
    """
    release = pattern.release
    if release is not None and not inventory.differences(pattern):
        return release
    listed: Iterable[FileEntry] = () if release is None else release.files
    # What is the customer's is listed as it was released: so the next update knows whose default it was.
    files = {entry.path: entry for entry in listed if pattern.is_customers(entry.path)}
    files.update(inventory.shipped)
    try:
        return replace(
            pattern.like,
            version=version,
            files=tuple(files[path] for path in sorted(files)),
            needs=(),
            extra={ADOPTED: format_time(now)},
        )
    except ManifestRefused as err:
        raise Refused("not-adoptable", f"the files cannot be listed: {err.message}") from err
