"""End records that lie: an archive is judged from its last bytes, and each number there is checked."""

import io
import struct

import pytest

from engineshed_packages.archive import preflight
from engineshed_packages.archive.directory import read_directory
from engineshed_packages.errors import ArchiveRefused
from tests.packages.zip_bytes import Zip, end_record, two_entries, zip64_ends

GOOD = Zip(entries=two_entries()).build()
DIRECTORY_BYTES, OFFSET = struct.unpack("<II", GOOD[-10:-2])
AT = OFFSET + DIRECTORY_BYTES
SATURATED = end_record(0xFFFF, directory_bytes=2**32 - 1, offset=2**32 - 1)
ZIP64 = zip64_ends(2, directory_bytes=DIRECTORY_BYTES, offset=OFFSET, at=AT)


def code_of(data: bytes) -> str:
    """The code with which the end of *data* is refused."""
    with pytest.raises(ArchiveRefused) as caught:
        preflight(io.BytesIO(data))
    return caught.value.code


def changed(data: bytes, at: int, layout: str, value: int) -> bytes:
    """*data* with another number at the offset *at*."""
    new = struct.pack(layout, value)
    return data[:at] + new + data[at + len(new) :]


def test_the_end_record_says_where_the_directory_lies() -> None:
    end = preflight(io.BytesIO(GOOD))
    assert (end.entries, end.directory_offset, end.directory_bytes) == (2, OFFSET, DIRECTORY_BYTES)


@pytest.mark.parametrize("length", range(22))
def test_a_file_shorter_than_an_end_record_is_refused(length: int) -> None:
    assert code_of(end_record(0, directory_bytes=0, offset=0)[:length]).startswith("archive-")


PLAIN_FIELDS = {
    "this disk": (4, "<H", 1, "archive-mismatch"),
    "disk of the directory": (6, "<H", 1, "archive-mismatch"),
    "entries on this disk": (8, "<H", 1, "archive-mismatch"),
    "directory bytes too few": (12, "<I", DIRECTORY_BYTES - 1, "archive-stray-data"),
    "directory bytes too many": (12, "<I", DIRECTORY_BYTES + 1, "archive-truncated"),
    "offset too low": (16, "<I", OFFSET - 1, "archive-stray-data"),
    "offset too high": (16, "<I", OFFSET + 1, "archive-truncated"),
    "a comment that is not there": (20, "<H", 5, "archive-truncated"),
}


@pytest.mark.parametrize(("at", "layout", "value", "code"), PLAIN_FIELDS.values(), ids=PLAIN_FIELDS)
def test_an_end_record_with_a_wrong_number_is_refused(at: int, layout: str, value: int, code: str) -> None:
    assert code_of(changed(GOOD, len(GOOD) - 22 + at, layout, value)) == code


def test_a_zip64_end_record_is_read() -> None:
    end = preflight(io.BytesIO(GOOD[:AT] + ZIP64 + SATURATED))
    assert (end.entries, end.directory_offset, end.directory_bytes) == (2, OFFSET, DIRECTORY_BYTES)


ZIP64_FIELDS = {
    "mark": (0, "<I", 0, "archive-stray-data"),
    "length of the record": (4, "<Q", 45, "archive-mismatch"),
    "this disk": (16, "<I", 1, "archive-mismatch"),
    "disk of the directory": (20, "<I", 1, "archive-mismatch"),
    "entries on this disk": (24, "<Q", 1, "archive-mismatch"),
    "entries": (32, "<Q", 1, "archive-mismatch"),
    "directory bytes": (40, "<Q", DIRECTORY_BYTES - 1, "archive-stray-data"),
    "offset": (48, "<Q", OFFSET + 1, "archive-truncated"),
    "disk of the record": (60, "<I", 1, "archive-mismatch"),
    "place of the record": (64, "<Q", 0, "archive-stray-data"),
    "disks": (72, "<I", 2, "archive-mismatch"),
}


@pytest.mark.parametrize(("at", "layout", "value", "code"), ZIP64_FIELDS.values(), ids=ZIP64_FIELDS)
def test_a_zip64_end_record_with_a_wrong_number_is_refused(
    at: int, layout: str, value: int, code: str
) -> None:
    assert code_of(GOOD[:AT] + changed(ZIP64, at, layout, value) + SATURATED) == code


CONTRADICTIONS = {
    "entries": end_record(3, directory_bytes=2**32 - 1, offset=2**32 - 1),
    "directory bytes": end_record(0xFFFF, directory_bytes=DIRECTORY_BYTES - 1, offset=2**32 - 1),
    "offset": end_record(0xFFFF, directory_bytes=2**32 - 1, offset=OFFSET - 1),
}


@pytest.mark.parametrize("end", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_an_end_record_that_contradicts_its_zip64_record_is_refused(end: bytes) -> None:
    assert code_of(GOOD[:AT] + ZIP64 + end) == "archive-mismatch"


def test_zip64_records_that_no_saturated_number_asks_for_are_refused() -> None:
    plain = end_record(2, directory_bytes=DIRECTORY_BYTES, offset=OFFSET)
    assert code_of(GOOD[:AT] + ZIP64 + plain) == "archive-stray-data"


def test_saturated_numbers_without_zip64_records_are_refused() -> None:
    data = GOOD[:AT] + end_record(2, directory_bytes=2**32 - 1, offset=2**32 - 1)
    assert code_of(data) == "archive-directory-too-large"


def test_a_short_file_whose_end_record_looks_like_a_zip64_locator_is_refused() -> None:
    (mark,) = struct.unpack("<I", b"PK\x06\x07")
    data = bytes(40) + end_record(0xFFFF, directory_bytes=0, offset=mark)
    assert code_of(data) == "archive-too-many-entries"


def test_an_archive_that_shrinks_after_its_end_was_read_is_refused() -> None:
    file = io.BytesIO(GOOD)
    end = preflight(file)
    file.truncate(OFFSET + 10)
    with pytest.raises(ArchiveRefused) as caught:
        read_directory(file, end)
    assert caught.value.code == "archive-truncated"
