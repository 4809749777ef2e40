"""The records of a zip file as this format uses them: how they lie in bytes, and nothing else.

Only what a stored, unencrypted, single-disk zip needs. Every number is little-endian. Reader and writer
share these definitions, so that what one writes is what the other demands.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central header), 4.3.14 and
4.3.15 (zip64 end and its locator), 4.3.16 (end), 4.5.3 (zip64 extra field).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

LOCAL_MARK = b"PK\x03\x04"
CENTRAL_MARK = b"PK\x01\x02"
END_MARK = b"PK\x05\x06"
ZIP64_END_MARK = b"PK\x06\x06"
ZIP64_LOCATOR_MARK = b"PK\x06\x07"

# mark, version needed, flags, method, time, date, crc32, packed size, size, name length, extra length
LOCAL = struct.Struct("<4s5H3L2H")
# mark, version made by, version needed, flags, method, time, date, crc32, packed size, size,
# name length, extra length, comment length, disk, internal attributes, external attributes, offset
CENTRAL = struct.Struct("<4s6H3L5H2L")
# mark, this disk, disk of the directory, entries on this disk, entries, directory bytes, offset,
# comment length
END = struct.Struct("<4s4H2LH")
# mark, bytes that follow, version made by, version needed, this disk, disk of the directory,
# entries on this disk, entries, directory bytes, offset
ZIP64_END = struct.Struct("<4sQ2H2L4Q")
# mark, disk of the zip64 end, its offset, number of disks
ZIP64_LOCATOR = struct.Struct("<4sLQL")
# field id, bytes that follow; then one or more 64-bit numbers
EXTRA = struct.Struct("<2H")

SATURATED_16 = 0xFFFF
SATURATED_32 = 0xFFFFFFFF
ZIP64_EXTRA_ID = 0x0001
VERSION_PLAIN = 20
VERSION_ZIP64 = 45
STORED = 0
FLAG_UTF8 = 0x0800
UNIX = 3
# 1980-01-01 00:00, the first date a zip can hold: the same in every archive ever written.
FIXED_TIME = 0
FIXED_DATE = (1 << 5) | 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What local and central header say alike about one entry; they must not differ in any of it."""

    version_needed: int
    flags: int
    method: int
    time: int
    date: int
    crc32: int
    size_bytes: int
    raw_name: bytes


def zip64_extra(*numbers: int) -> bytes:
    """The zip64 extra field with *numbers*, in the order of APPNOTE 4.5.3; no numbers, no field."""
    if not numbers:
        return b""
    return EXTRA.pack(ZIP64_EXTRA_ID, 8 * len(numbers)) + struct.pack(f"<{len(numbers)}Q", *numbers)


def read_zip64_extra(extra: bytes, count: int) -> tuple[int, ...] | None:
    """The *count* numbers of *extra* when it is exactly the zip64 field with them, else None."""
    if count == 0:
        return () if not extra else None
    if len(extra) != EXTRA.size + 8 * count or EXTRA.unpack_from(extra) != (ZIP64_EXTRA_ID, 8 * count):
        return None
    return struct.unpack_from(f"<{count}Q", extra, EXTRA.size)
