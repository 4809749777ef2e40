"""The end of a zip: what an archive may cost, judged from its last bytes before anything else is read.

The end record must be the last thing in the file and the directory must end where it begins, so that
nothing can stand before the first entry or behind the last byte. ``preflight`` reads no more than
``PREFLIGHT_BYTES``: opening a directory of 300,000 entries would cost seconds, refusing it costs nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

from engineshed_packages.archive.records import (
    END,
    END_MARK,
    LOCAL_MARK,
    SATURATED_16,
    SATURATED_32,
    ZIP64_END,
    ZIP64_END_MARK,
    ZIP64_LOCATOR,
    ZIP64_LOCATOR_MARK,
)
from engineshed_packages.errors import ArchiveRefused

PREFLIGHT_BYTES = 64 * 1024 + END.size
_ALL_ENDS_BYTES = ZIP64_END.size + ZIP64_LOCATOR.size + END.size
_SEARCH_BYTES = PREFLIGHT_BYTES - _ALL_ENDS_BYTES - len(LOCAL_MARK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may cost. The defaults hold for packages and bundles."""

    max_entries: int = 50_000
    max_directory_bytes: int = 16 * 1024**2
    max_entry_bytes: int = 16 * 1024**3
    max_total_bytes: int = 32 * 1024**3


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRecord:
    """What the end of the file says about the directory; only its geometry has been checked."""

    entries: int
    directory_offset: int
    directory_bytes: int


def preflight(file: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> EndRecord:
    """Judge an archive by its end record, having read at most ``PREFLIGHT_BYTES``.

    Raises:
        ArchiveRefused: codes ``archive-not-zip``, ``archive-truncated``, ``archive-stray-data``,
            ``archive-mismatch``, ``archive-too-many-entries``, ``archive-directory-too-large``.
        OSError: the file cannot be read.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    tail = read_at(file, max(0, file_bytes - _ALL_ENDS_BYTES), min(file_bytes, _ALL_ENDS_BYTES))
    if tail[-END.size :][:4] != END_MARK or len(tail) < END.size:
        raise _no_end(file, file_bytes)
    end, end_offset = _end_record(tail, file_bytes)
    if end.entries > limits.max_entries:
        raise ArchiveRefused(
            "archive-too-many-entries",
            f"the archive says it has {end.entries} entries, at most {limits.max_entries} are read",
        )
    if end.directory_bytes > limits.max_directory_bytes:
        raise ArchiveRefused(
            "archive-directory-too-large",
            f"the archive's directory has {end.directory_bytes} bytes, at most {limits.max_directory_bytes} "
            "are read",
        )
    _check_geometry(end, end_offset)
    return end


def _no_end(file: BinaryIO, file_bytes: int) -> ArchiveRefused:
    """Why the file does not end with an end record; for the message only, nothing is accepted here."""
    head = read_at(file, 0, min(file_bytes, len(LOCAL_MARK)))
    tail_bytes = min(file_bytes, _SEARCH_BYTES)
    tail = read_at(file, file_bytes - tail_bytes, tail_bytes)
    found = tail.rfind(END_MARK)
    if 0 <= found <= len(tail) - END.size:
        at = file_bytes - tail_bytes + found
        *_, directory_bytes, directory_offset, _ = END.unpack_from(tail, found)
        # An archive inside an entry of a truncated one has an end too, but does not fit at this place.
        if directory_offset + directory_bytes == at:
            behind = file_bytes - at - END.size
            return ArchiveRefused(
                "archive-stray-data", f"{behind} bytes (or a comment) lie behind the archive's end record"
            )
    if head in (LOCAL_MARK, END_MARK):
        return ArchiveRefused(
            "archive-truncated",
            f"the archive begins as a zip and has no end record within {file_bytes} bytes: it was cut off",
        )
    return ArchiveRefused("archive-not-zip", f"the file of {file_bytes} bytes is no zip archive")


def _end_record(tail: bytes, file_bytes: int) -> tuple[EndRecord, int]:
    """The end record, with zip64 numbers where the plain ones are saturated, and where the ends begin."""
    (_, disk, directory_disk, here, entries, directory_bytes, offset, comment_bytes) = END.unpack_from(
        tail, len(tail) - END.size
    )
    if comment_bytes:
        raise ArchiveRefused(
            "archive-truncated", "the archive's end record announces a comment: it was cut off"
        )
    if disk or directory_disk or here != entries:
        raise ArchiveRefused(
            "archive-mismatch", "the archive says it is one part of several: make it one file"
        )
    plain = EndRecord(entries=entries, directory_offset=offset, directory_bytes=directory_bytes)
    end_offset = file_bytes - END.size
    saturated = entries == SATURATED_16 or SATURATED_32 in (directory_bytes, offset)
    # Without the zip64 records saturated numbers stand for themselves, and limits and geometry judge them.
    if not saturated or len(tail) < _ALL_ENDS_BYTES or tail[ZIP64_END.size :][:4] != ZIP64_LOCATOR_MARK:
        return plain, end_offset
    return _zip64_end_record(tail, plain, end_offset - ZIP64_LOCATOR.size - ZIP64_END.size)


def _zip64_end_record(tail: bytes, plain: EndRecord, expected_offset: int) -> tuple[EndRecord, int]:
    _, locator_disk, zip64_offset, disks = ZIP64_LOCATOR.unpack_from(tail, ZIP64_END.size)
    (mark, follow_bytes, _, _, disk, directory_disk, here, entries, directory_bytes, offset) = (
        ZIP64_END.unpack_from(tail)
    )
    if mark != ZIP64_END_MARK or zip64_offset != expected_offset:
        raise ArchiveRefused(
            "archive-stray-data",
            f"the archive's zip64 end record should stand at {zip64_offset} and right before its locator at "
            f"{expected_offset + ZIP64_END.size}: bytes were added or taken away",
        )
    alike = follow_bytes == ZIP64_END.size - 12 and here == entries and disks == 1
    alike = alike and not (locator_disk or disk or directory_disk)
    alike = alike and plain.entries in (entries, SATURATED_16)
    alike = alike and plain.directory_bytes in (directory_bytes, SATURATED_32)
    alike = alike and plain.directory_offset in (offset, SATURATED_32)
    if not alike:
        raise ArchiveRefused(
            "archive-mismatch", "the archive's end record and its zip64 end record say different things"
        )
    end = EndRecord(entries=entries, directory_offset=offset, directory_bytes=directory_bytes)
    return end, expected_offset


def _check_geometry(end: EndRecord, end_offset: int) -> None:
    directory_end = end.directory_offset + end.directory_bytes
    if directory_end < end_offset:
        raise ArchiveRefused(
            "archive-stray-data",
            f"the archive's directory should end at {directory_end} and its end record stands at "
            f"{end_offset}: bytes that belong to no entry lie before or behind the directory",
        )
    if directory_end > end_offset:
        raise ArchiveRefused(
            "archive-truncated",
            f"the archive's directory should end at {directory_end}, but its end record stands at "
            f"{end_offset}: bytes are missing",
        )


def read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    """Exactly *count* bytes from *offset*; the caller has compared both with the length of the file."""
    file.seek(offset)
    data = file.read(count)
    if len(data) != count:
        raise ArchiveRefused(
            "archive-truncated", f"the archive ends at {offset + len(data)} while it is read"
        )
    return data
