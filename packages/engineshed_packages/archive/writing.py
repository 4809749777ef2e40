"""Writing an archive: the same bytes from the same items, on every machine and with every zlib.

Entries are stored, in the order given, with one fixed date and Unix as the system that made them. An
archive appears under its name whole and durable, or not at all. What the reader refuses is not written.

    write_archive(path, [Item.of_bytes("MANIFEST.json", data), Item.of_file("lib/a.jar", source)])
"""

from __future__ import annotations

import io
import os
import secrets
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engineshed_packages.archive.end import DEFAULT_LIMITS, Limits
from engineshed_packages.archive.names import check_name, check_names
from engineshed_packages.archive.records import (
    CENTRAL,
    CENTRAL_MARK,
    END,
    END_MARK,
    FIXED_DATE,
    FIXED_TIME,
    FLAG_UTF8,
    LOCAL,
    LOCAL_MARK,
    SATURATED_16,
    SATURATED_32,
    STORED,
    UNIX,
    VERSION_PLAIN,
    VERSION_ZIP64,
    ZIP64_END,
    ZIP64_END_MARK,
    ZIP64_LOCATOR,
    ZIP64_LOCATOR_MARK,
    Header,
    zip64_extra,
)
from engineshed_packages.digests import CHUNK_BYTES
from engineshed_packages.errors import ArchiveRefused
from engineshed_packages.files import TEMPORARY_SUFFIX, fsync_folder


@dataclass(frozen=True, slots=True)
class Item:
    """One file to write.

    Attributes:
        name: relative path with forward slashes.
        mode: permission bits, 0 to 0o777.
        open: gives the content as a seekable stream; called once, the stream is closed.
    """

    name: str
    mode: int
    open: Callable[[], BinaryIO]

    def __post_init__(self) -> None:
        if self.mode & ~0o777:
            raise ValueError(f"expected permission bits for {self.name!r}, found {self.mode:o}")

    @classmethod
    def of_bytes(cls, name: str, data: bytes, *, mode: int = 0o644) -> Item:
        """An item whose content is *data*."""
        return cls(name, mode, lambda: io.BytesIO(data))

    @classmethod
    def of_file(cls, name: str, path: Path, *, mode: int = 0o644) -> Item:
        """An item whose content is the file at *path*."""
        return cls(name, mode, lambda: path.open("rb"))


def write_archive(
    path: Path,
    items: Iterable[Item],
    *,
    limits: Limits = DEFAULT_LIMITS,
    zip64_from: int = SATURATED_32,
) -> None:
    """Write *items* to *path*, in the order given, streamed in pieces of 1 MiB.

    Args:
        zip64_from: lengths and offsets from here on are written as zip64 numbers; lower only in tests.

    Raises:
        ArchiveRefused: the codes of names and limits, and ``archive-source-changed`` when a content has
            another length than at first; nothing is left at or beside *path*.
        OSError: an item cannot be read or *path* cannot be written; the same.
    """
    with _appearing(path) as file:
        writer = _Writer(file, limits, zip64_from)
        for item in items:
            writer.add(item)
        writer.finish()


@contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """A new file that replaces *path*, durably, when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    name: str
    central: bytes


class _Writer:
    """Local headers and content as they come, then the directory and the end record."""

    def __init__(self, file: BinaryIO, limits: Limits, zip64_from: int) -> None:
        self._file = file
        self._limits = limits
        self._zip64_from = zip64_from
        self._offset = 0
        self._total_bytes = 0
        self._written: list[_Written] = []

    def add(self, item: Item) -> None:
        check_name(item.name)
        if len(self._written) == self._limits.max_entries:
            raise ArchiveRefused(
                "archive-too-many-entries", f"an archive holds at most {self._limits.max_entries} entries"
            )
        with item.open() as stream:
            size_bytes = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            self._check_size(item.name, size_bytes)
            # The length is known before the content is read, the checksum only after: it is filled in.
            self._file.write(self._local(_header(item.name, size_bytes, 0, self._zip64_from)))
            crc32 = self._copy(stream, item.name, size_bytes)
        header = _header(item.name, size_bytes, crc32, self._zip64_from)
        local = self._local(header)
        self._file.seek(self._offset)
        self._file.write(local)
        self._written.append(_Written(name=item.name, central=self._central(header, item.mode)))
        self._offset += len(local) + size_bytes
        self._file.seek(self._offset)

    def finish(self) -> None:
        check_names(entry.name for entry in self._written)
        directory_bytes = sum(len(entry.central) for entry in self._written)
        if directory_bytes > self._limits.max_directory_bytes:
            raise ArchiveRefused(
                "archive-directory-too-large",
                f"the directory would have {directory_bytes} bytes, at most "
                f"{self._limits.max_directory_bytes} are read",
            )
        for entry in self._written:
            self._file.write(entry.central)
        self._file.write(self._ends(len(self._written), directory_bytes))

    def _check_size(self, name: str, size_bytes: int) -> None:
        self._total_bytes += size_bytes
        limits = self._limits
        if size_bytes > limits.max_entry_bytes or self._total_bytes > limits.max_total_bytes:
            raise ArchiveRefused(
                "archive-too-large",
                f"with {name!r} of {size_bytes} bytes the archive would exceed {limits.max_entry_bytes} "
                f"bytes for one entry or {limits.max_total_bytes} for all",
            )

    def _copy(self, stream: BinaryIO, name: str, size_bytes: int) -> int:
        """Copy the content; return its CRC-32."""
        crc32 = copied_bytes = 0
        while piece := stream.read(CHUNK_BYTES):
            copied_bytes += len(piece)
            if copied_bytes > size_bytes:
                break
            crc32 = zlib.crc32(piece, crc32)
            self._file.write(piece)
        if copied_bytes != size_bytes:
            raise ArchiveRefused(
                "archive-source-changed",
                f"{name!r} had {size_bytes} bytes and changed while it was read: try again",
            )
        return crc32

    def _local(self, header: Header) -> bytes:
        size_bytes, extra = header.size_bytes, b""
        if size_bytes >= self._zip64_from:
            size_bytes, extra = SATURATED_32, zip64_extra(header.size_bytes, header.size_bytes)
        fixed = LOCAL.pack(
            LOCAL_MARK,
            header.version_needed,
            header.flags,
            header.method,
            header.time,
            header.date,
            header.crc32,
            size_bytes,
            size_bytes,
            len(header.raw_name),
            len(extra),
        )
        return fixed + header.raw_name + extra

    def _central(self, header: Header, mode: int) -> bytes:
        size_bytes, offset, large = header.size_bytes, self._offset, []
        if size_bytes >= self._zip64_from:
            large += [size_bytes, size_bytes]
            size_bytes = SATURATED_32
        if offset >= self._zip64_from:
            large += [offset]
            offset = SATURATED_32
        extra = zip64_extra(*large)
        fixed = CENTRAL.pack(
            CENTRAL_MARK,
            UNIX << 8 | header.version_needed,
            header.version_needed,
            header.flags,
            header.method,
            header.time,
            header.date,
            header.crc32,
            size_bytes,
            size_bytes,
            len(header.raw_name),
            len(extra),
            0,
            0,
            0,
            (stat.S_IFREG | mode) << 16,
            offset,
        )
        return fixed + header.raw_name + extra

    def _ends(self, entries: int, directory_bytes: int) -> bytes:
        offset, ends = self._offset, b""
        if entries >= SATURATED_16 or offset >= self._zip64_from:
            made_by = UNIX << 8 | VERSION_ZIP64
            ends = ZIP64_END.pack(
                ZIP64_END_MARK,
                ZIP64_END.size - 12,
                made_by,
                VERSION_ZIP64,
                0,
                0,
                entries,
                entries,
                directory_bytes,
                offset,
            )
            ends += ZIP64_LOCATOR.pack(ZIP64_LOCATOR_MARK, 0, offset + directory_bytes, 1)
            entries, offset = SATURATED_16, SATURATED_32
        return ends + END.pack(END_MARK, 0, 0, entries, entries, directory_bytes, offset, 0)


def _header(name: str, size_bytes: int, crc32: int, zip64_from: int) -> Header:
    return Header(
        version_needed=VERSION_ZIP64 if size_bytes >= zip64_from else VERSION_PLAIN,
        flags=0 if name.isascii() else FLAG_UTF8,
        method=STORED,
        time=FIXED_TIME,
        date=FIXED_DATE,
        crc32=crc32,
        size_bytes=size_bytes,
        raw_name=name.encode("utf-8"),
    )
