"""The files of uploads: ``<folder>/<id>.part``, each written by one process at a time.

    with incoming.held(upload_id, wait_s=3) as file:
        for position in file.append(pieces, offset_bytes=offset):
            ...                                 # so much is durable: write it down

The lock is the system's, on the file itself: it ends with the process that holds it, however that ends, and
a file is unlinked only under it. What counts is not the file's length but what was written down: behind that
may lie the torn tail of a killed process, or bytes a failed checksum speaks against. It is cut off before
the next byte is written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from engineshed_packages.errors import Conflict
from engineshed_packages.files import fsync_folder
from engineshed_packages.locks import exclusive
from engineshed_server.errors import ServerError, TryLater
from engineshed_server.storage.disk import disk_errors
from engineshed_server.storage.writing import CHECKPOINT_BYTES, Piece, settle, write_all

SUFFIX = ".part"


class UploadFile:
    """The bytes of one upload, while its lock is held."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size_bytes(self) -> int:
        """The file's length, the torn tail included."""
        return self.path.stat().st_size

    def append(self, pieces: Iterable[Piece], *, offset_bytes: int) -> Iterator[int]:
        """Write *pieces* from *offset_bytes* on; yield each position up to which all is durable.

        Whatever ends the pieces early, what came before it is made durable and told, then the error goes on.

        Raises:
            TryLater: ``disk-full``, ``storage-failed``. What *pieces* raises, when it is a ServerError.
        """
        with disk_errors(), self.path.open("r+b", buffering=0) as file:
            file.truncate(offset_bytes)
            file.seek(offset_bytes)
            position = safe = offset_bytes
            ended: ServerError | OSError | None = None
            try:
                for piece in pieces:
                    write_all(file, piece)
                    position += len(piece)
                    if position - safe >= CHECKPOINT_BYTES:
                        self._settle(file, is_new=safe == 0)
                        safe = position
                        yield safe
            except (ServerError, OSError) as err:
                ended = err
            if position > safe:
                file.truncate(position)  # of the last piece a part may have been written
                self._settle(file, is_new=safe == 0)
                yield position
            if ended is not None:
                raise ended

    def append_whole(self, pieces: Iterable[Piece], *, offset_bytes: int) -> int:
        """Write all of *pieces* or nothing; the position behind them, up to which all is durable.

        Raises as ``append``; the file then ends at *offset_bytes*.
        """
        with disk_errors(), self.path.open("r+b", buffering=0) as file:
            file.truncate(offset_bytes)
            file.seek(offset_bytes)
            try:
                for piece in pieces:
                    write_all(file, piece)
                self._settle(file, is_new=offset_bytes == 0)
                return file.tell()
            except (ServerError, OSError):
                file.truncate(offset_bytes)
                raise

    def _settle(self, file: BinaryIO, *, is_new: bool) -> None:
        settle(file)
        if is_new:
            fsync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


class Incoming:
    """The folder of the uploads' files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def free_bytes(self) -> int:
        """Space that is left on the volume.

        Raises:
            TryLater: code ``storage-failed``.
        """
        with disk_errors():
            return shutil.disk_usage(self._folder).free

    @contextmanager
    def held(self, upload_id: str, *, wait_s: float) -> Iterator[UploadFile]:
        """The file of an upload, empty when there was none, and nobody else's inside the block.

        Raises:
            TryLater: ``upload-locked``; ``disk-full``, ``storage-failed``: it cannot be made.
        """
        path = self._folder / f"{upload_id}{SUFFIX}"
        with ExitStack() as stack:
            try:
                with disk_errors():
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
                    stack.enter_context(exclusive(path, wait_s=wait_s))
            except Conflict as err:
                message = f"another request is writing to the upload {upload_id}: ask for its offset again"
                raise TryLater("upload-locked", message, retry_after_s=2) from err
            yield UploadFile(path)

    def list_ids(self) -> frozenset[str]:
        """The ids of all files here."""
        return frozenset(path.name.removesuffix(SUFFIX) for path in self._folder.glob(f"*{SUFFIX}"))
