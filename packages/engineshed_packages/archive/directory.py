"""Reading the directory of a zip without believing a word of it.

The rules make an archive mean one thing only, to whatever program: entries are stored, stand one behind
the other from the first byte to the directory, and the directory repeats every local header. What
Python's ``zipfile`` and others let pass (data before and between, entries that share bytes, two names
for one place, a local header that says something else) is refused here, before any content is read.

At most ``Limits.max_directory_bytes`` are taken into memory; ``archive_end.preflight`` has seen to that.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import BinaryIO

from engineshed_packages.archive.end import DEFAULT_LIMITS, EndRecord, Limits, read_at
from engineshed_packages.archive.names import check_name, check_names
from engineshed_packages.archive.records import (
    CENTRAL,
    CENTRAL_MARK,
    FLAG_UTF8,
    LOCAL,
    LOCAL_MARK,
    SATURATED_32,
    STORED,
    Header,
    read_zip64_extra,
)
from engineshed_packages.errors import ArchiveRefused

_ZIP64_LOCAL_EXTRA_BYTES = 20
# Volume label, folder and device in the attributes of DOS.
_DOS_NO_FILE = 0x08 | 0x10 | 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file in an archive.

    Attributes:
        name: relative path with forward slashes, safe on every system.
        mode: permission bits, 0 to 0o777.
        crc32: of the content; checked when the content is read to its end.
        offset: of the first byte of the content, counted from the start of the archive.
    """

    name: str
    size_bytes: int
    mode: int
    crc32: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Central:
    """One header of the directory, read but not yet compared with its local header."""

    name: str
    mode: int
    offset: int
    header: Header


def read_directory(file: BinaryIO, end: EndRecord, limits: Limits = DEFAULT_LIMITS) -> tuple[Entry, ...]:
    """All entries, in the order in which they lie in the file, each compared with its local header.

    Raises:
        ArchiveRefused: every code of the format but those of ``preflight`` and ``archive-corrupt``.
        OSError: the file cannot be read.
    """
    raw = read_at(file, end.directory_offset, end.directory_bytes)
    entries: list[Entry] = []
    position = next_offset = total_bytes = 0
    for _ in range(end.entries):
        central, position = _read_central(raw, position)
        size_bytes = central.header.size_bytes
        total_bytes += size_bytes
        _check_size(central.name, size_bytes, total_bytes, limits)
        _check_place(central.name, central.offset, next_offset)
        start = central.offset + _check_local(file, central, end.directory_offset)
        next_offset = start + size_bytes
        # Also what keeps the next local header inside the file.
        if next_offset > end.directory_offset:
            raise ArchiveRefused(
                "archive-overlap",
                f"entry {central.name!r} reaches {next_offset}, into the archive's directory",
            )
        entries.append(
            Entry(
                name=central.name,
                size_bytes=size_bytes,
                mode=central.mode,
                crc32=central.header.crc32,
                offset=start,
            )
        )
    if position != len(raw):
        raise ArchiveRefused(
            "archive-mismatch",
            f"the archive's directory goes on for {len(raw) - position} bytes after {end.entries} entries",
        )
    _check_place("(the directory)", end.directory_offset, next_offset)
    check_names(entry.name for entry in entries)
    return tuple(entries)


def _check_size(name: str, size_bytes: int, total_bytes: int, limits: Limits) -> None:
    if size_bytes > limits.max_entry_bytes or total_bytes > limits.max_total_bytes:
        raise ArchiveRefused(
            "archive-too-large",
            f"with entry {name!r} of {size_bytes} bytes the archive exceeds {limits.max_entry_bytes} bytes "
            f"for one entry or {limits.max_total_bytes} for all",
        )


def _check_place(name: str, offset: int, expected: int) -> None:
    if offset < expected:
        raise ArchiveRefused(
            "archive-overlap",
            f"{name!r} begins at {offset}, inside what stands before it and ends at {expected}",
        )
    if offset > expected:
        raise ArchiveRefused(
            "archive-stray-data",
            f"{offset - expected} bytes before {name!r} belong to no entry: it should begin at {expected}",
        )


def _read_central(raw: bytes, position: int) -> tuple[_Central, int]:
    """One header of the directory and the position of the next."""
    if len(raw) - position < CENTRAL.size or raw[position : position + 4] != CENTRAL_MARK:
        raise ArchiveRefused(
            "archive-mismatch",
            f"the archive's directory holds no entry at its byte {position}, where one is due",
        )
    # fmt: off
    (_, _, version_needed, flags, method, time, date, crc32, packed_bytes, size_bytes,
     name_bytes, extra_bytes, comment_bytes, disk, _, attributes, offset) = CENTRAL.unpack_from(raw, position)
    # fmt: on
    name_at = position + CENTRAL.size
    extra_at = name_at + name_bytes
    following = extra_at + extra_bytes
    if following > len(raw):
        raise ArchiveRefused("archive-mismatch", "the archive's directory ends in the middle of an entry")
    raw_name = raw[name_at:extra_at]
    name = check_name(_decode_name(raw_name, flags))
    if comment_bytes or disk:
        raise ArchiveRefused(
            "archive-stray-data", f"entry {name!r} carries a comment or lies on another disk"
        )
    extra = raw[extra_at:following]
    size_bytes, packed_bytes, offset = _real_numbers(name, extra, size_bytes, packed_bytes, offset)
    _check_stored(name, flags=flags, method=method, packed_bytes=packed_bytes, size_bytes=size_bytes)
    if size_bytes == 0 and crc32 != 0:
        raise ArchiveRefused("archive-corrupt", f"entry {name!r} is empty and has a CRC-32 other than 0")
    header = Header(
        version_needed=version_needed,
        flags=flags,
        method=method,
        time=time,
        date=date,
        crc32=crc32,
        size_bytes=size_bytes,
        raw_name=raw_name,
    )
    return _Central(name=name, mode=_permissions(name, attributes), offset=offset, header=header), following


def _decode_name(raw_name: bytes, flags: int) -> str:
    try:
        # Without the flag the encoding is a matter of opinion, save for ASCII.
        return raw_name.decode("utf-8" if flags & FLAG_UTF8 else "ascii")
    except UnicodeDecodeError as err:
        raise ArchiveRefused(
            "archive-name-refused", f"the entry name {raw_name[:100]!r} is neither ASCII nor marked UTF-8"
        ) from err


def _real_numbers(name: str, extra: bytes, *numbers: int) -> list[int]:
    """*numbers* of a header, the saturated ones taken from *extra*, which must hold them and nothing else.

    Any other extra field is refused: one of them (0x7075) renames the entry for those who know it.
    """
    zip64 = read_zip64_extra(extra, numbers.count(SATURATED_32))
    if zip64 is None:
        raise ArchiveRefused(
            "archive-stray-data",
            f"entry {name!r} carries {len(extra)} bytes of extra fields that are not due",
        )
    following = iter(zip64)
    return [next(following) if number == SATURATED_32 else number for number in numbers]


def _check_stored(name: str, *, flags: int, method: int, packed_bytes: int, size_bytes: int) -> None:
    if flags & ~FLAG_UTF8 or method != STORED or packed_bytes != size_bytes:
        raise ArchiveRefused(
            "archive-not-stored",
            f"entry {name!r} has method {method}, flags {flags:#06x}, {packed_bytes} bytes for {size_bytes}: "
            "only stored entries are read, neither compressed nor encrypted nor streamed",
        )


def _permissions(name: str, attributes: int) -> int:
    mode = attributes >> 16
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG) or attributes & _DOS_NO_FILE or stat.S_IMODE(mode) & ~0o777:
        raise ArchiveRefused(
            "archive-link-refused",
            f"entry {name!r} is {stat.filemode(mode)!r}: links, folders, devices and files with special mode "
            "bits are refused, expected a plain file",
        )
    return mode & 0o777


def _check_local(file: BinaryIO, central: _Central, directory_offset: int) -> int:
    """Compare the local header with the directory's; return its length in bytes."""
    due = LOCAL.size + len(central.header.raw_name) + _ZIP64_LOCAL_EXTRA_BYTES
    raw = read_at(file, central.offset, min(due, directory_offset - central.offset))
    if len(raw) < LOCAL.size or raw[:4] != LOCAL_MARK:
        raise _mismatch(central, "no local header stands where the directory says")
    # fmt: off
    (_, version_needed, flags, method, time, date, crc32, packed_bytes, size_bytes,
     name_bytes, extra_bytes) = LOCAL.unpack_from(raw)
    # fmt: on
    extra_at = LOCAL.size + int(name_bytes)
    following = extra_at + int(extra_bytes)
    if following > len(raw):
        raise _mismatch(central, "the local header is longer than the directory's")
    size_bytes, packed_bytes = _real_numbers(central.name, raw[extra_at:following], size_bytes, packed_bytes)
    local = Header(
        version_needed=version_needed,
        flags=flags,
        method=method,
        time=time,
        date=date,
        crc32=crc32,
        size_bytes=size_bytes,
        raw_name=raw[LOCAL.size : extra_at],
    )
    if local != central.header or packed_bytes != size_bytes:
        raise _mismatch(central, f"the local header is {local}, the directory has {central.header}")
    return following


def _mismatch(central: _Central, what: str) -> ArchiveRefused:
    return ArchiveRefused("archive-mismatch", f"entry {central.name!r} at {central.offset}: {what}")
