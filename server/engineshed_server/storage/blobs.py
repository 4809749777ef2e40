"""Package bytes by their SHA-256: what any store of them can do, and the store on a local disk.

A blob appears under its digest only when all its bytes were read, found right and made durable: written
to a temporary name, fsync, rename, fsync of the folder. Storing the same bytes twice keeps one blob, and
replaces a damaged one. A disk that fills up leaves nothing behind.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from engineshed_packages.digests import Digester, Digests, is_sha256
from engineshed_packages.files import fsync_folder
from engineshed_server.errors import NotFound, Refused
from engineshed_server.storage.disk import disk_errors
from engineshed_server.storage.writing import CHECKPOINT_BYTES, Piece, settle, write_all


class ArrivingBlob(Protocol):
    """Bytes that are here and right, but not yet kept."""

    @property
    def path(self) -> Path:
        """A local file with the bytes, to look into before keeping them."""

    @property
    def digests(self) -> Digests:
        """Length and digests of the bytes."""

    def keep(self) -> None:
        """Make the bytes durable under their digest."""


class BlobStore(Protocol):
    """Bytes by digest. ``sha256`` is always 64 lower-case hexadecimal digits."""

    def receive(
        self, pieces: Iterable[Piece], *, sha256: str, length_bytes: int
    ) -> AbstractContextManager[ArrivingBlob]:
        """Take bytes in; what is not kept when the block ends is gone.

        No piece is asked for beyond the first one that passes *length_bytes*.

        Raises:
            Refused: code ``content-mismatch``.
            TryLater: code ``disk-full``.
        """

    def find(self, sha256: str, *, length_bytes: int) -> Path | None:
        """The file of a blob that is here with the right length, to be sent from."""

    def sweep(self) -> None:
        """Remove what a killed ``receive`` left; only while nobody is receiving."""


class LocalBlobs:
    """Blobs as files: ``<folder>/ab/<sha256>``, arriving ones in ``<folder>/arriving``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arriving = folder / "arriving"

    def _path(self, sha256: str) -> Path:
        if not is_sha256(sha256):
            raise NotFound(
                "blob-name", f"{sha256[:80]!r} is no SHA-256: expected 64 lower-case hexadecimal digits"
            )
        return self._folder / sha256[:2] / sha256

    @contextmanager
    def receive(self, pieces: Iterable[Piece], *, sha256: str, length_bytes: int) -> Iterator[ArrivingBlob]:
        """See ``BlobStore``."""
        final = self._path(sha256)
        temporary = self._arriving / f"{sha256}.{secrets.token_hex(6)}"
        with disk_errors():
            _make_folder(self._arriving)
        try:
            with disk_errors():
                digests = _write(pieces, temporary, limit_bytes=length_bytes)
            if (digests.length_bytes, digests.sha256) != (length_bytes, sha256):
                raise Refused(
                    "content-mismatch",
                    f"found {digests.length_bytes} bytes with SHA-256 {digests.sha256}, "
                    f"expected {length_bytes} bytes with SHA-256 {sha256}",
                )
            yield _ArrivingFile(temporary, digests, final=final)
        finally:
            temporary.unlink(missing_ok=True)

    def find(self, sha256: str, *, length_bytes: int) -> Path | None:
        """See ``BlobStore``."""
        path = self._path(sha256)
        try:
            return path if path.stat().st_size == length_bytes else None
        except FileNotFoundError:
            return None

    def sweep(self) -> None:
        """See ``BlobStore``."""
        if self._arriving.is_dir():
            for left in self._arriving.iterdir():
                left.unlink()


class _ArrivingFile:
    def __init__(self, path: Path, digests: Digests, *, final: Path) -> None:
        self._path = path
        self._digests = digests
        self._final = final

    @property
    def path(self) -> Path:
        return self._path

    @property
    def digests(self) -> Digests:
        return self._digests

    def keep(self) -> None:
        with disk_errors():
            _make_folder(self._final.parent)
            os.replace(self._path, self._final)
            fsync_folder(self._final.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)


def _write(pieces: Iterable[Piece], path: Path, *, limit_bytes: int) -> Digests:
    digester, settled_bytes = Digester(), 0
    with path.open("xb", buffering=0) as file:
        for piece in pieces:
            digester.update(piece)
            write_all(file, piece)
            if digester.length_bytes > limit_bytes:
                break
            if digester.length_bytes - settled_bytes >= CHECKPOINT_BYTES:
                settle(file)
                settled_bytes = digester.length_bytes
        settle(file)
    return digester.result()
