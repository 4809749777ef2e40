"""A zip made by hand, record by record, so that every field of it can lie.

Written from APPNOTE.TXT and sharing nothing with the code under test: a wrong layout there would not be
repeated here. Without arguments that lie, ``Zip`` gives an archive that is accepted.
"""

import stat
import struct
import zlib
from dataclasses import dataclass, field

FILE_0644 = (stat.S_IFREG | 0o644) << 16
DATE_1980 = 33


@dataclass(kw_only=True)
class Entry:
    """One entry; ``local`` and ``central`` override single fields of the two headers."""

    name: bytes
    data: bytes = b""
    attributes: int = FILE_0644
    flags: int = 0
    method: int = 0
    offset: int | None = None
    local: dict[str, int | bytes] = field(default_factory=dict)
    central: dict[str, int | bytes] = field(default_factory=dict)

    def fields(self) -> dict[str, int | bytes]:
        return {
            "version": 20,
            "flags": self.flags,
            "method": self.method,
            "time": 0,
            "date": DATE_1980,
            "crc": zlib.crc32(self.data),
            "packed": len(self.data),
            "size": len(self.data),
            "name": self.name,
            "extra": b"",
            "comment": b"",
            "disk": 0,
        }


def _bytes(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def local_header(entry: Entry) -> bytes:
    one = entry.fields() | entry.local
    name, extra = _bytes(one["name"]), _bytes(one["extra"])
    return (
        b"PK\x03\x04"
        + struct.pack("<HHHHH", one["version"], one["flags"], one["method"], one["time"], one["date"])
        + struct.pack("<III", one["crc"], one["packed"], one["size"])
        + struct.pack("<HH", len(name), len(extra))
        + name
        + extra
    )


def central_header(entry: Entry, offset: int) -> bytes:
    one = entry.fields() | entry.central
    name, extra, comment = _bytes(one["name"]), _bytes(one["extra"]), _bytes(one["comment"])
    return (
        b"PK\x01\x02"
        + struct.pack("<H", 3 << 8 | 20)
        + struct.pack("<HHHHH", one["version"], one["flags"], one["method"], one["time"], one["date"])
        + struct.pack("<III", one["crc"], one["packed"], one["size"])
        + struct.pack("<HHHHH", len(name), len(extra), len(comment), one["disk"], 0)
        + struct.pack("<II", entry.attributes, offset)
        + name
        + extra
        + comment
    )


def end_record(
    entries: int, *, directory_bytes: int, offset: int, disk: int = 0, comment: bytes = b""
) -> bytes:
    counted = struct.pack("<HHHH", disk, disk, entries, entries)
    return b"PK\x05\x06" + counted + struct.pack("<IIH", directory_bytes, offset, len(comment)) + comment


def zip64_ends(entries: int, *, directory_bytes: int, offset: int, at: int) -> bytes:
    """The zip64 end record, to stand at the offset *at*, and its locator."""
    record = struct.pack("<QHHIIQQQQ", 44, 3 << 8 | 45, 45, 0, 0, entries, entries, directory_bytes, offset)
    return b"PK\x06\x06" + record + b"PK\x06\x07" + struct.pack("<IQI", 0, at, 1)


@dataclass(kw_only=True)
class Zip:
    """A whole archive; each of the byte strings lies in a place where nothing may lie."""

    entries: list[Entry]
    before: bytes = b""
    between: bytes = b""
    before_directory: bytes = b""
    before_end: bytes = b""
    behind: bytes = b""
    comment: bytes = b""
    counted: int | None = None
    offset_shift: int = 0

    def build(self) -> bytes:
        body, directory = bytearray(self.before), bytearray()
        for number, entry in enumerate(self.entries):
            body += self.between if number else b""
            offset = len(body) if entry.offset is None else entry.offset
            directory += central_header(entry, offset + self.offset_shift)
            body += local_header(entry) + entry.data
        body += self.before_directory
        end = end_record(
            len(self.entries) if self.counted is None else self.counted,
            directory_bytes=len(directory),
            offset=len(body) + self.offset_shift,
            comment=self.comment,
        )
        return bytes(body + directory + self.before_end + end + self.behind)


def two_entries() -> list[Entry]:
    return [Entry(name=b"a.txt", data=b"first"), Entry(name=b"lib/b.txt", data=b"second content")]
