"""The zip of packages and bundles: read with every suspicion, written the same everywhere.

    with open_archive(path) as archive:
        for entry in archive.entries: ...
        manifest = archive.read("MANIFEST.json", max_bytes=1_000_000)
        with archive.open(entry) as content: ...

    write_archive(path, [Item.of_file("lib/a.jar", source), ...])

An archive that opens has been judged whole: names, kinds, places and headers of all its entries. Entries
are stored, so that nothing expands. Only content is left to check, and is: a content read to its end has
the CRC-32 it was written with. That is no protection against an attacker: signed digests are.

The pieces: ``archive_names`` (rules for names), ``archive_records`` (layout in bytes), ``archive_end``
(limits and preflight), ``archive_directory`` (reading and judging), ``archive_writing``.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from engineshed_packages.archive.directory import Entry, read_directory
from engineshed_packages.archive.end import DEFAULT_LIMITS, PREFLIGHT_BYTES, EndRecord, Limits, preflight
from engineshed_packages.archive.names import MAX_NAME_CHARS, check_name, check_names
from engineshed_packages.archive.writing import Item, write_archive
from engineshed_packages.digests import CHUNK_BYTES
from engineshed_packages.errors import ArchiveRefused, ManifestRefused
from engineshed_packages.files import drop_pages

__all__ = [
    "DEFAULT_LIMITS",
    "MAX_NAME_CHARS",
    "PREFLIGHT_BYTES",
    "Archive",
    "EndRecord",
    "Entry",
    "Item",
    "Limits",
    "check_name",
    "check_names",
    "naming",
    "open_archive",
    "preflight",
    "write_archive",
]


def open_archive(path: Path, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """Open and judge the archive at *path*.

    Raises:
        ArchiveRefused: what is wrong with it, by code.
        OSError: the file cannot be opened or read.
    """
    file = path.open("rb")
    try:
        return Archive(file, read_directory(file, preflight(file, limits), limits))
    except BaseException:
        file.close()
        raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let a refusal of what is in a file that a person gave begin with the file's name."""
    try:
        yield
    except (ArchiveRefused, ManifestRefused) as err:
        raise type(err)(err.code, f"{path}: {err.message}") from err


class Archive:
    """An open archive; made by ``open_archive``. For one thread at a time.

    Attributes:
        entries: all entries, in the order in which they lie in the file.
    """

    def __init__(self, file: BinaryIO, entries: tuple[Entry, ...]) -> None:
        self._file = file
        self._by_name = {entry.name: entry for entry in entries}
        self.entries = entries

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; contents opened before can no longer be read."""
        self._file.close()

    def find(self, name: str) -> Entry | None:
        """The entry called *name*, or None."""
        return self._by_name.get(name)

    def open(self, entry: Entry) -> BinaryIO:
        """The content of *entry* as a stream that ends where the entry ends; several may be open.

        Reading the last byte raises ArchiveRefused with code ``archive-corrupt`` when the content is not
        the one that was written.
        """
        return io.BufferedReader(_Content(self._file, entry), CHUNK_BYTES)

    def pieces(self, entry: Entry, *, piece_bytes: int) -> Iterator[bytes]:
        """The content of *entry* in pieces of at most *piece_bytes*; its CRC-32 is not looked at.

        For who holds the content against a signed digest, which the CRC-32 can add nothing to but its cost.
        What was read is not kept in memory: nobody reads a package in a bundle twice.

        Raises:
            ArchiveRefused: code ``archive-truncated``.
        """
        content = _Bytes(self._file, entry)
        while piece := content.take(piece_bytes):
            yield piece
            drop_pages(self._file, start=entry.offset, end=content.position)

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """The whole content of the entry called *name*, which may have at most *max_bytes*.

        Raises:
            ArchiveRefused: codes ``archive-entry-missing``, ``archive-too-large``, ``archive-corrupt``.
            OSError: the file cannot be read.
        """
        entry = self.find(name)
        if entry is None:
            raise ArchiveRefused("archive-entry-missing", f"the archive has no entry {name!r}")
        if entry.size_bytes > max_bytes:
            raise ArchiveRefused(
                "archive-too-large",
                f"entry {name!r} has {entry.size_bytes} bytes, at most {max_bytes} are read",
            )
        with self.open(entry) as content:
            return content.read()


class _Bytes:
    """The bytes of one entry, counted as they are read."""

    def __init__(self, file: BinaryIO, entry: Entry) -> None:
        self._file = file
        self._entry = entry
        self._done_bytes = 0

    @property
    def position(self) -> int:
        """Where in the archive the next byte lies."""
        return self._entry.offset + self._done_bytes

    def take(self, count_bytes: int) -> bytes:
        """The next bytes, at most *count_bytes*; none behind the last."""
        left = self._entry.size_bytes - self._done_bytes
        if left == 0:
            return b""
        # Seeks every time: another content of the same file may have been read in between.
        self._file.seek(self.position)
        piece = self._file.read(min(left, count_bytes))
        if not piece:
            raise ArchiveRefused(
                "archive-truncated", f"the archive ended inside entry {self._entry.name!r} while it was read"
            )
        self._done_bytes += len(piece)
        return piece


class _Content(io.RawIOBase):
    """The bytes of one entry as a stream, summed up as they are read."""

    def __init__(self, file: BinaryIO, entry: Entry) -> None:
        super().__init__()
        self._bytes = _Bytes(file, entry)
        self._entry = entry
        self._left_bytes = entry.size_bytes
        self._crc32 = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed says WriteableBuffer, which is private to it
        piece = self._bytes.take(len(buffer))
        if not piece:
            return 0
        self._left_bytes -= len(piece)
        self._crc32 = zlib.crc32(piece, self._crc32)
        if not self._left_bytes and self._crc32 != self._entry.crc32:
            raise ArchiveRefused(
                "archive-corrupt",
                f"entry {self._entry.name!r} has CRC-32 {self._crc32:08x}, expected {self._entry.crc32:08x}: "
                "the archive is damaged, fetch it again",
            )
        buffer[: len(piece)] = piece
        return len(piece)
