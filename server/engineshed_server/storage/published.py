"""The vendor's metadata as engines see it: the folder behind ``/repo/v1/vendor/metadata/``.

Every file but ``timestamp.json`` is immutable and named by its version; the timestamp is replaced last,
by rename, and makes the new set visible as a whole. Old versions stay: an engine that has just read the
timestamp before finds the snapshot it names.

A new root is the exception: clients ask for it by guessing the next number, and one that names other keys
makes the timestamp before it worthless. So roots come right before the timestamp, and are taken back when
that does not follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from engineshed_packages.files import fsync_folder, read_limited, write_file
from engineshed_packages.metadata import MAX_VERSION
from engineshed_packages.metadata.cache import MAX_FILE_BYTES, TIMESTAMP, MetadataFile
from engineshed_server.storage.disk import disk_errors

# Every version that is accepted has a name here: what is published is also served.
_VERSION = rf"[1-9][0-9]{{0,{len(str(MAX_VERSION)) - 1}}}"
_ROOT = re.compile(rf"({_VERSION})\.root\.json", re.ASCII)
_NAME = re.compile(rf"(timestamp|{_VERSION}\.[a-z0-9%][a-z0-9%._-]{{0,80}})\.json", re.ASCII | re.IGNORECASE)


def newest_root(folder: Path) -> int:
    """The highest number of a root in *folder*, 0 without one."""
    found = (_ROOT.fullmatch(path.name) for path in folder.glob("*.root.json"))
    return max((int(one[1]) for one in found if one is not None), default=0)


class PublishedMetadata:
    """The published set in *folder*. One writer at a time: the ingest holds its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> Path | None:
        """The file of that *name*, None when it is not published or no name of metadata at all."""
        if not _NAME.fullmatch(name):
            return None
        path = self.folder / name
        return path if path.is_file() else None

    def timestamp(self) -> bytes | None:
        """The published timestamp, None before the first bundle."""
        path = self.folder / TIMESTAMP
        return read_limited(path, MAX_FILE_BYTES) if path.is_file() else None

    def lacks(self, files: Sequence[MetadataFile]) -> bool:
        """Whether publishing *files* would change anything."""
        return any(not self._has(file) for file in files)

    def write_immutable(self, files: Sequence[MetadataFile]) -> None:
        """Write all of *files* but roots and the timestamp: nobody asks for them yet.

        Raises:
            TryLater: code ``disk-full``.
        """
        with disk_errors():
            self._make_folder()
            for file in files:
                if file.name != TIMESTAMP and not _ROOT.fullmatch(file.name) and not self._has(file):
                    write_file(self.folder / file.name, file.data)

    def write_timestamp(self, files: Sequence[MetadataFile]) -> None:
        """Write the roots of *files* and replace the timestamp: from now on the whole set is public.

        Raises:
            TryLater: code ``disk-full``; what was public before still is.
        """
        before = newest_root(self.folder)
        with disk_errors():
            try:
                for file in sorted(files, key=lambda file: file.name == TIMESTAMP):
                    if (file.name == TIMESTAMP or _ROOT.fullmatch(file.name)) and not self._has(file):
                        write_file(self.folder / file.name, file.data)
            except OSError:
                self.take_roots_back(before)
                raise

    def take_roots_back(self, newest: int) -> None:
        """Remove roots above number *newest*, whose timestamp never came.

        Raises:
            OSError: one is still there.
        """
        for path in self.folder.glob("*.root.json"):
            found = _ROOT.fullmatch(path.name)
            if found is not None and int(found[1]) > newest:
                path.unlink(missing_ok=True)

    def _has(self, file: MetadataFile) -> bool:
        path = self.folder / file.name
        return path.is_file() and read_limited(path, MAX_FILE_BYTES) == file.data

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
            fsync_folder(self.folder.parent)
