"""The vendor's metadata as engines see it: the folder behind ``/repo/v1/vendor/metadata/``.

Every file but ``timestamp.json`` is immutable and named by its version; the timestamp is replaced last,
by rename, and makes the new set visible as a whole. Old versions stay: an engine that has just read the
timestamp before finds the snapshot it names.
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
_NAME = re.compile(rf"(timestamp|{_VERSION}\.[a-z0-9%][a-z0-9%._-]{{0,80}})\.json", re.ASCII | re.IGNORECASE)


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
        """Write all of *files* but the timestamp: nobody asks for them yet.

        Raises:
            TryLater: code ``disk-full``.
        """
        with disk_errors():
            self._make_folder()
            for file in files:
                if file.name != TIMESTAMP and not self._has(file):
                    write_file(self.folder / file.name, file.data)

    def write_timestamp(self, files: Sequence[MetadataFile]) -> None:
        """Replace the timestamp by the one in *files*: from now on the whole set is public.

        Raises:
            TryLater: code ``disk-full``.
        """
        with disk_errors():
            for file in files:
                if file.name == TIMESTAMP and not self._has(file):
                    write_file(self.folder / file.name, file.data)

    def _has(self, file: MetadataFile) -> bool:
        path = self.folder / file.name
        return path.is_file() and read_limited(path, MAX_FILE_BYTES) == file.data

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
            fsync_folder(self.folder.parent)
