"""The new engine, put together beside the old one while that one still runs.

A package is unpacked file by file, each synchronised and its digest compared on the way in; then the tree
is read back from the disk and held against the manifest. A kept version is copied the same way, its
shipped files only: what is the customer's comes from the live engine later, at CARRYING.

New files and folders take the owner of the same name in the live engine, or of the engine's folder. Modes
of shipped files are the vendor's; folders take mode and ACL of the live ones at CARRYING.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from engineshed_client.errors import Refused
from engineshed_client.fsops import FsOps, find_stat
from engineshed_client.install.files import Shape, find_inside, sha256_no_follow, shape_of, sync_folders
from engineshed_client.install.trees import Tree
from engineshed_packages.archive import Archive
from engineshed_packages.digests import CHUNK_BYTES
from engineshed_packages.errors import ContentMismatch
from engineshed_packages.manifest import MANIFEST_NAME, FileEntry, Manifest

FOLDER_MODE = 0o755
MANIFEST_MODE = 0o644


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class Stage:
    """A tree that is being put together.

    Args:
        folder: its top; created with the first file.
        live: the engine whose owners the new one takes; None when there is none.
    """

    def __init__(self, fs: FsOps, folder: Path, live: Path | None) -> None:
        self._fs = fs
        self.folder = folder
        self._live = live
        self._owner = None if live is None else find_stat(live)

    def unpack(self, archive: Archive, manifest: Manifest) -> None:
        """Unpack a package that ``check_package`` has passed.

        Raises:
            ContentMismatch: code ``content-sha256``: a file is not the one in the manifest.
            ArchiveRefused: the archive is damaged.
            OSError: from the disk.
        """
        self.make_folder("")
        for entry in archive.entries:
            listed = manifest.find(entry.name)
            with archive.open(entry) as content:
                found = self._write(
                    entry.name, content, mode=MANIFEST_MODE if listed is None else listed.mode
                )
            if listed is not None and found != listed.sha256:
                raise ContentMismatch(
                    "content-sha256", f"{entry.name} in the package has SHA-256 {found}, not the manifest's"
                )
        self.sync()

    def copy_version(self, tree: Tree) -> None:
        """Copy the manifest and the shipped files of a version that was kept.

        Raises:
            OSError: from the disk.
        """
        self.make_folder("")
        names = [(MANIFEST_NAME, MANIFEST_MODE)]
        names += [(entry.path, entry.mode) for entry in tree.manifest.shipped()]
        for name, mode in names:
            with open(tree.folder / name, "rb", buffering=0) as content:
                self._write(name, content, mode=mode)
        self.sync()

    def _write(self, relative: str, content: _Reader, *, mode: int) -> str:
        """Write a new file; returns the SHA-256 of what was written."""
        self.make_folder(relative.rpartition("/")[0])
        path = self.folder / relative
        digest = hashlib.sha256()
        with self._fs.open_new(path, mode=0o600) as file:
            while piece := content.read(CHUNK_BYTES):
                digest.update(piece)
                file.write(piece)
            self._take_owner(relative)
            self._fs.set_mode(path, mode)
            file.sync()
        return digest.hexdigest()

    def make_folder(self, relative: str) -> None:
        """Create the folder *relative* and what lacks above it; never through a link.

        Raises:
            Refused: code ``link-in-the-way``: a part of the path is no folder.
        """
        path, done = self.folder, ""
        for part in ("", *relative.split("/")) if relative else ("",):
            path, done = path / part, f"{done}/{part}".lstrip("/")
            status = find_stat(path)
            if status is None:
                self._fs.make_folder(path, mode=FOLDER_MODE)
                self._fs.set_mode(path, FOLDER_MODE)
                self._take_owner(done)
            elif shape_of(status) is not Shape.FOLDER:
                raise Refused(
                    "link-in-the-way",
                    f"{done} in the engine is no folder, but files must go below it: move it",
                )

    def _take_owner(self, relative: str) -> None:
        if self._live is None or self._owner is None:
            return
        like = find_inside(self._live, relative)
        if like is None or shape_of(like) is Shape.LINK:
            like = self._owner
        self._fs.take_owner(self.folder / relative, like)

    def sync(self) -> None:
        """Make every name in the tree, and the tree's own, durable."""
        sync_folders(self._fs, self.folder)
        self._fs.sync_folder(self.folder.parent)


def read_back(folder: Path, entries: Iterable[FileEntry]) -> None:
    """Read *entries* from the disk and hold content and mode against the manifest.

    Raises:
        ContentMismatch: code ``staged-differs``.
        OSError: a file cannot be read.
    """
    for entry in entries:
        path = folder / entry.path
        mode = os.lstat(path).st_mode & 0o777
        found = sha256_no_follow(path)
        if found != entry.sha256 or (os.name == "posix" and mode != entry.mode):
            raise ContentMismatch(
                "staged-differs",
                f"{path} reads back with SHA-256 {found} and mode {mode:04o}, the manifest says "
                f"{entry.sha256} and {entry.mode:04o}: check the disk",
            )
