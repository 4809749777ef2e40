"""The metadata a party has verified, on its disk, under the names the repository itself uses.

    <cache>/metadata/timestamp.json  1.root.json …  7.snapshot.json  2.targets.json  5.<role>.json

All files but ``timestamp.json`` are immutable; it is written last, by rename, and only then are the files
of the set before it removed. Killed anywhere, the cache is the old set or the new one. The folder can be
read as a repository without targets: a portal publishes just these files.

``tuf.ngclient`` keeps its own names and rewrites files in place. So each run of it gets a scratch folder,
filled from here; what it verified there is taken over only as a whole.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Snapshot, Timestamp

from engineshed_packages.errors import FileRefused
from engineshed_packages.files import read_limited, write_file

MAX_FILE_BYTES = 5_000_000  # tuf.ngclient's largest limit for one metadata file
ROOT_HISTORY = "root_history"
TIMESTAMP = "timestamp.json"
_SCRATCH = "scratch-"
_LEFT_BEHIND_S = 3600  # no refresh takes that long: a scratch folder this old was left by a kill


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """One verified file: its *name* in the repository's ``metadata/`` and its bytes as they were signed."""

    name: str
    data: bytes


def file_name(role: str, version: int | None) -> str:
    """Name of a role's file in ``metadata/``; *version* is None for ``timestamp`` alone."""
    quoted = quote(role, "")
    return f"{quoted}.json" if version is None else f"{version}.{quoted}.json"


class MetadataCache:
    """The cache in *folder*, which is made when needed. One writer at a time: the caller holds a lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._metadata = folder / "metadata"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for one run of ``tuf.ngclient``, filled with what is cached; removed at the end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        path = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=self._folder))
        try:
            (path / ROOT_HISTORY).mkdir()
            self._fill(path)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def keep(self, files: tuple[MetadataFile, ...]) -> None:
        """Take over a verified set, the timestamp last, and drop what it replaces; twice is as once.

        Raises:
            OSError: the set before it is still whole.
        """
        self._metadata.mkdir(parents=True, exist_ok=True)
        names = {file.name for file in files}
        for file in sorted(files, key=lambda file: file.name == TIMESTAMP):
            if file.data != self._read(file.name):
                write_file(self._metadata / file.name, file.data)
        for path in self._metadata.glob("*.json"):
            if path.name not in names and not path.name.endswith(".root.json"):
                path.unlink(missing_ok=True)

    def _read(self, name: str) -> bytes | None:
        try:
            return read_limited(self._metadata / name, MAX_FILE_BYTES)
        except FileRefused:
            return None  # absent or damaged: fetched anew, the cache is never the only place

    def _fill(self, scratch: Path) -> None:
        """Copy the current set; `tuf.ngclient` verifies it again, so reading it here trusts nothing."""
        for path in self._metadata.glob("*.root.json"):
            self._copy(path.name, scratch / ROOT_HISTORY / path.name)
        timestamp = self._copy(TIMESTAMP, scratch / TIMESTAMP)
        try:
            wanted = Metadata[Timestamp].from_bytes(timestamp).signed
            if not isinstance(wanted, Timestamp):
                return
            name = file_name(Snapshot.type, wanted.snapshot_meta.version)
            snapshot = Metadata[Snapshot].from_bytes(self._copy(name, scratch / "snapshot.json")).signed
        except RepositoryError:
            return
        if isinstance(snapshot, Snapshot):
            for name, meta in snapshot.meta.items():
                role = name.removesuffix(".json")
                self._copy(file_name(role, meta.version), scratch / file_name(role, None))

    def _copy(self, name: str, to: Path) -> bytes:
        data = self._read(name) or b""
        if data:
            to.write_bytes(data)
        return data

    def _sweep(self) -> None:
        for path in self._folder.glob(f"{_SCRATCH}*"):
            try:
                old = time.time() - path.stat().st_mtime > _LEFT_BEHIND_S
            except FileNotFoundError:
                continue
            if old:
                shutil.rmtree(path, ignore_errors=True)
