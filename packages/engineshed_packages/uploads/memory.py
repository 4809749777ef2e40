"""Which upload belongs to which file: so that the same command, started again, goes on where it was.

A file is known by its length, its time and its first and last mebibyte: the last one holds the checksums
of all a zip's entries, so that another bundle is never taken for it, and nobody waits for gigabytes to be
hashed. What is kept is the upload's id alone, no token and no address. Losing it costs the upload from its
start, nothing else; so a memory that cannot be written is no reason not to upload.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engineshed_packages.errors import Conflict, FileRefused, ProtocolRefused
from engineshed_packages.files import read_limited, write_file
from engineshed_packages.ids import check_id

EDGE_BYTES = 1024 * 1024
MAX_FILE_BYTES = 200
KEPT_S = 48 * 3600  # the portal keeps an upload for a day


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """A file as it was when its upload began.

    Attributes:
        fingerprint: 64 hexadecimal digits; other content or another time, another fingerprint.
    """

    path: Path
    length_bytes: int
    modified_ns: int
    fingerprint: str

    @classmethod
    def of(cls, path: Path) -> SentFile:
        """Look at the file at *path*.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}\n".encode("ascii"))
            digest.update(file.read(EDGE_BYTES))
            file.seek(max(0, status.st_size - EDGE_BYTES))
            digest.update(file.read(EDGE_BYTES))
        return cls(
            path=path,
            length_bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            fingerprint=digest.hexdigest(),
        )

    def check_unchanged(self) -> None:
        """Refuse a file that is not the one whose upload began.

        Raises:
            Conflict: code ``file-changed``. OSError: it cannot be looked at.
        """
        status = self.path.stat()
        if (status.st_size, status.st_mtime_ns) != (self.length_bytes, self.modified_ns):
            raise Conflict("file-changed", f"{self.path} was changed while it was uploaded: start again")


class Memory:
    """The ids of unfinished uploads, a small file each, in *folder*; None remembers nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def of_user(cls, environment: Mapping[str, str]) -> Memory:
        """Where the user's programs keep their state."""
        if sys.platform == "win32":
            base = environment.get("LOCALAPPDATA")
            return cls(Path(base) / "engineshed" / "uploads" if base else None)
        home = environment.get("HOME")
        base = environment.get("XDG_STATE_HOME") or (f"{home}/.local/state" if home else None)
        return cls(Path(base) / "engineshed" / "uploads" if base else None)

    def recall(self, portal_url: str, file: SentFile) -> str | None:
        """The id of the upload of *file* to that portal, None when none is known."""
        path = self._path(portal_url, file)
        if path is None:
            return None
        try:
            return check_id("upl", read_limited(path, MAX_FILE_BYTES).decode("ascii", "replace").strip())
        except (FileRefused, ProtocolRefused):
            return None  # none, or not ours: begin anew

    def keep(self, portal_url: str, file: SentFile, *, upload_id: str) -> None:
        """Remember that *file* is being uploaded as *upload_id*.

        Raises:
            OSError: the memory cannot be written.
        """
        path = self._path(portal_url, file)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(path, f"{upload_id}\n".encode("ascii"), mode=0o600)
            _sweep(path.parent)

    def forget(self, portal_url: str, file: SentFile) -> None:
        """The upload of *file* is over, or unknown to the portal."""
        path = self._path(portal_url, file)
        if path is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                pass  # the portal will say that it does not know it

    def _path(self, portal_url: str, file: SentFile) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / hashlib.sha256(f"{portal_url}\n{file.fingerprint}".encode()).hexdigest()


def _sweep(folder: Path) -> None:
    """Remove what no portal knows any more."""
    oldest_s = time.time() - KEPT_S
    for path in folder.iterdir():
        if path.stat().st_mtime < oldest_s:
            path.unlink(missing_ok=True)
