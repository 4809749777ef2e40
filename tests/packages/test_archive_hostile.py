"""Hostile archives, rows 1 to 6 of the design's list of abuse: each deviates from a good one in one thing."""

import io
import stat
import struct
from pathlib import Path

import pytest

from engineshed_packages.archive import PREFLIGHT_BYTES, Limits, open_archive, preflight
from engineshed_packages.errors import ArchiveRefused
from tests.packages.zip_bytes import (
    Entry,
    Zip,
    central_header,
    end_record,
    local_header,
    two_entries,
    zip64_ends,
)


class CountingFile(io.BytesIO):
    """A file that counts the bytes that were read from it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def refusal(tmp_path: Path, data: bytes, limits: Limits | None = None) -> ArchiveRefused:
    path = tmp_path / "hostile.zip"
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused) as caught:
        open_archive(path, limits or Limits()).close()
    return caught.value


def refused_by_preflight(data: bytes) -> tuple[str, int]:
    """The code, and how many bytes were read to find it."""
    file = CountingFile(data)
    with pytest.raises(ArchiveRefused) as caught:
        preflight(file, Limits())
    return caught.value.code, file.count


# Rows 1 and 5: names that are not what they seem; the rest of them is in test_archive_names


def test_an_extra_field_that_renames_the_entry_is_refused(tmp_path: Path) -> None:
    renamed = struct.pack("<HHBI", 0x7075, 5 + len(b"evil"), 1, 0) + b"evil"
    entry = Entry(name=b"good", local={"extra": renamed}, central={"extra": renamed})
    assert refusal(tmp_path, Zip(entries=[entry]).build()).code == "archive-stray-data"


def test_an_extra_field_in_the_local_header_alone_is_refused(tmp_path: Path) -> None:
    entry = Entry(name=b"good", local={"extra": struct.pack("<HH", 0xCAFE, 0)})
    assert refusal(tmp_path, Zip(entries=[entry]).build()).code == "archive-stray-data"


# Row 2: links and devices

BAD_KINDS = {
    "symlink": (stat.S_IFLNK | 0o777) << 16,
    "folder": (stat.S_IFDIR | 0o755) << 16,
    "fifo": (stat.S_IFIFO | 0o644) << 16,
    "socket": (stat.S_IFSOCK | 0o644) << 16,
    "character device": (stat.S_IFCHR | 0o644) << 16,
    "block device": (stat.S_IFBLK | 0o644) << 16,
    "folder of DOS": 0x10,
    "volume label of DOS": 0x08,
    "setuid": (stat.S_IFREG | 0o4755) << 16,
    "setgid": (stat.S_IFREG | 0o2755) << 16,
}


@pytest.mark.parametrize("attributes", BAD_KINDS.values(), ids=BAD_KINDS)
def test_an_entry_that_is_no_plain_file_is_refused(tmp_path: Path, attributes: int) -> None:
    entry = Entry(name=b"etc", data=b"/etc/passwd", attributes=attributes)
    error = refusal(tmp_path, Zip(entries=[*two_entries(), entry]).build())
    assert error.code == "archive-link-refused"
    assert "'etc'" in str(error)


# Row 3: bombs


def test_entries_that_share_one_content_are_refused(tmp_path: Path) -> None:
    # The overlapping bomb: 1000 names, 50 kB once on disk, 50 MB when unpacked.
    shared = Entry(name=b"0", data=b"\0" * 50_000)
    directory = b"".join(central_header(Entry(name=b"%d" % n, data=shared.data), 0) for n in range(1000))
    body = local_header(shared) + shared.data
    data = body + directory + end_record(1000, directory_bytes=len(directory), offset=len(body))
    assert refusal(tmp_path, data).code == "archive-overlap"


def test_an_entry_inside_the_content_of_another_is_refused(tmp_path: Path) -> None:
    inner = Entry(name=b"b", data=b"x" * 10)
    outer = Entry(name=b"a", data=local_header(inner) + inner.data)
    body = local_header(outer) + outer.data
    directory = central_header(outer, 0) + central_header(inner, len(local_header(outer)))
    data = body + directory + end_record(2, directory_bytes=len(directory), offset=len(body))
    assert refusal(tmp_path, data).code == "archive-overlap"


def test_an_entry_that_reaches_into_the_directory_is_refused(tmp_path: Path) -> None:
    longer: dict[str, int | bytes] = {"packed": 60, "size": 60}
    entry = Entry(name=b"a", data=b"short", local=longer, central=longer)
    assert refusal(tmp_path, Zip(entries=[entry]).build()).code == "archive-overlap"


def test_an_entry_behind_one_that_reaches_into_the_directory_is_refused(tmp_path: Path) -> None:
    longer: dict[str, int | bytes] = {"packed": 200, "size": 200}
    first = Entry(name=b"a", data=b"short", local=longer, central=longer)
    second = Entry(name=b"b", data=b"", offset=len(local_header(first)) + 200)
    assert refusal(tmp_path, Zip(entries=[first, second]).build()).code == "archive-overlap"


def test_an_entry_far_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    longer: dict[str, int | bytes] = {"packed": 2**31, "size": 2**31}
    entry = Entry(name=b"a", data=b"short", local=longer, central=longer)
    assert refusal(tmp_path, Zip(entries=[entry]).build()).code == "archive-overlap"


NOT_STORED = {
    "deflated": Entry(name=b"a", data=b"x", method=8),
    "unknown method": Entry(name=b"a", data=b"x", method=99),
    "encrypted": Entry(name=b"a", data=b"x", flags=0x0001),
    "streamed": Entry(name=b"a", data=b"x", flags=0x0008),
    "strongly encrypted": Entry(name=b"a", data=b"x", flags=0x0041),
    "expanding": Entry(name=b"a", data=b"x", local={"size": 10**9}, central={"size": 10**9}),
}


@pytest.mark.parametrize("entry", NOT_STORED.values(), ids=NOT_STORED)
def test_an_entry_that_is_not_stored_is_refused(tmp_path: Path, entry: Entry) -> None:
    assert refusal(tmp_path, Zip(entries=[entry]).build()).code == "archive-not-stored"


def test_one_entry_over_the_limit_is_refused(tmp_path: Path) -> None:
    data = Zip(entries=two_entries()).build()
    assert refusal(tmp_path, data, Limits(max_entry_bytes=13)).code == "archive-too-large"


def test_all_entries_together_over_the_limit_are_refused(tmp_path: Path) -> None:
    data = Zip(entries=two_entries()).build()
    assert refusal(tmp_path, data, Limits(max_total_bytes=18)).code == "archive-too-large"


# Row 4: a huge directory


def huge_directory(entries: int) -> bytes:
    return central_header(Entry(name=b"a"), 0) * entries


def test_300000_entries_are_refused_from_the_zip64_end_record() -> None:
    directory = huge_directory(300_000)
    ends = zip64_ends(300_000, directory_bytes=len(directory), offset=0, at=len(directory))
    data = directory + ends + end_record(0xFFFF, directory_bytes=len(directory), offset=2**32 - 1)
    code, count = refused_by_preflight(data)
    assert code == "archive-too-many-entries"
    assert count <= 64 * 1024 + 22


def test_300000_entries_with_a_saturated_count_are_refused_from_the_end_record() -> None:
    directory = huge_directory(300_000)
    data = directory + end_record(0xFFFF, directory_bytes=len(directory), offset=0)
    code, count = refused_by_preflight(data)
    assert code == "archive-too-many-entries"
    assert count <= 64 * 1024 + 22


def test_300000_entries_with_a_count_that_wrapped_around_are_refused(tmp_path: Path) -> None:
    directory = huge_directory(300_000)
    data = directory + end_record(300_000 & 0xFFFF, directory_bytes=len(directory), offset=0)
    assert refusal(tmp_path, data).code in ("archive-mismatch", "archive-overlap")


def test_a_directory_of_17_mib_is_refused_from_the_end_record() -> None:
    directory = bytes(17 * 1024**2)
    code, count = refused_by_preflight(directory + end_record(100, directory_bytes=len(directory), offset=0))
    assert code == "archive-directory-too-large"
    assert count <= 64 * 1024 + 22


def test_a_huge_file_without_an_end_record_is_refused_from_its_last_bytes() -> None:
    code, count = refused_by_preflight(b"PK\x03\x04" + bytes(5_000_000))
    assert code == "archive-truncated"
    assert count <= PREFLIGHT_BYTES == 64 * 1024 + 22


def test_one_entry_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    data = Zip(entries=two_entries()).build()
    assert refusal(tmp_path, data, Limits(max_entries=1)).code == "archive-too-many-entries"


# Row 6: mismatches, stray data

MISMATCHES: dict[str, dict[str, int | bytes]] = {
    "crc": {"crc": 1},
    "size": {"size": 4, "packed": 4},
    "packed size": {"packed": 4},
    "name": {"name": b"evil.txt"},
    "name of the same length": {"name": b"A.txt"},
    "longer name": {"name": b"a.txt" + b"x" * 500},
    "time": {"time": 1},
    "date": {"date": 34},
    "version": {"version": 10},
    "flags": {"flags": 0x0800},
    "method": {"method": 8},
}


@pytest.mark.parametrize("field", MISMATCHES)
def test_a_local_header_that_differs_from_the_directory_is_refused(tmp_path: Path, field: str) -> None:
    entry = Entry(name=b"a.txt", data=b"first", local=MISMATCHES[field])
    assert refusal(tmp_path, Zip(entries=[entry, *two_entries()[1:]]).build()).code == "archive-mismatch"


def test_a_directory_entry_without_a_local_header_is_refused(tmp_path: Path) -> None:
    data = Zip(entries=two_entries()).build().replace(b"PK\x03\x04", b"PK\x03\x05")
    assert refusal(tmp_path, data).code == "archive-mismatch"


def test_a_local_header_that_the_directory_cuts_off_is_refused(tmp_path: Path) -> None:
    directory = central_header(Entry(name=b"a"), 0)
    data = b"PK\x03\x04" + directory + end_record(1, directory_bytes=len(directory), offset=4)
    assert refusal(tmp_path, data).code == "archive-mismatch"


def test_a_local_header_with_more_behind_its_zip64_numbers_is_refused(tmp_path: Path) -> None:
    numbers = struct.pack("<HHQQ", 1, 16, 5, 5)
    central: dict[str, int | bytes] = {"packed": 2**32 - 1, "size": 2**32 - 1, "extra": numbers}
    entry = Entry(name=b"a", data=b"first", central=central, local=central | {"extra": numbers + b"evil"})
    assert refusal(tmp_path, Zip(entries=[entry]).build()).code == "archive-mismatch"


def with_second_central_header(changed: bytes) -> bytes:
    """A good archive but for the second header of its directory, which is *changed*."""
    first, second = two_entries()
    body = local_header(first) + first.data + local_header(second) + second.data
    directory = central_header(first, 0) + changed
    return body + directory + end_record(2, directory_bytes=len(directory), offset=len(body))


SECOND_OFFSET = len(local_header(two_entries()[0])) + len(two_entries()[0].data)
SECOND = central_header(two_entries()[1], SECOND_OFFSET)


@pytest.mark.parametrize("length", [4, 20, 45, 46, 50, len(SECOND) - 1])
def test_a_directory_that_ends_in_the_middle_of_an_entry_is_refused(tmp_path: Path, length: int) -> None:
    assert refusal(tmp_path, with_second_central_header(SECOND[:length])).code == "archive-mismatch"


def test_a_directory_with_something_else_in_the_place_of_an_entry_is_refused(tmp_path: Path) -> None:
    changed = b"PK\x05\x05" + SECOND[4:]
    assert refusal(tmp_path, with_second_central_header(changed)).code == "archive-mismatch"


def test_the_second_header_unchanged_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.zip").write_bytes(with_second_central_header(SECOND))
    with open_archive(tmp_path / "good.zip") as archive:
        assert len(archive.entries) == 2


STRAY = {
    "before, offsets as if it were not there": Zip(entries=two_entries(), before=b"#!", offset_shift=-2),
    "before, offsets adjusted": Zip(entries=two_entries(), before=b"#!/bin/sh\n"),
    "between entries": Zip(entries=two_entries(), between=b"x"),
    "before the directory": Zip(entries=two_entries(), before_directory=b"x"),
    "before the end record": Zip(entries=two_entries(), before_end=b"x"),
    "behind": Zip(entries=two_entries(), behind=b"x"),
    "a lot behind": Zip(entries=two_entries(), behind=b"x" * 60_000),
    "a comment": Zip(entries=two_entries(), comment=b"hello"),
    "a comment of an entry": Zip(entries=[Entry(name=b"a", central={"comment": b"hello"})]),
    "an entry on another disk": Zip(entries=[Entry(name=b"a", central={"disk": 1})]),
}


@pytest.mark.parametrize("archive", STRAY.values(), ids=STRAY)
def test_bytes_that_belong_to_no_entry_are_refused(tmp_path: Path, archive: Zip) -> None:
    if archive.offset_shift:
        first, second = archive.entries
        second.offset = len(archive.before) + len(local_header(first)) + len(first.data)
        first.offset = len(archive.before)
    assert refusal(tmp_path, archive.build()).code == "archive-stray-data"


def test_data_behind_with_an_end_record_of_its_own_is_refused(tmp_path: Path) -> None:
    data = Zip(entries=two_entries()).build()
    assert refusal(tmp_path, data + data).code == "archive-stray-data"


@pytest.mark.parametrize("counted", [1, 3])
def test_a_wrong_count_of_entries_is_refused(tmp_path: Path, counted: int) -> None:
    data = Zip(entries=two_entries(), counted=counted).build()
    assert refusal(tmp_path, data).code == "archive-mismatch"


def test_an_empty_entry_with_a_checksum_is_refused(tmp_path: Path) -> None:
    entry = Entry(name=b"a", local={"crc": 7}, central={"crc": 7})
    assert refusal(tmp_path, Zip(entries=[entry]).build()).code == "archive-corrupt"


def test_zip64_numbers_that_are_not_due_are_refused(tmp_path: Path) -> None:
    sizes: dict[str, int | bytes] = {"extra": struct.pack("<HHQQ", 1, 16, 5, 5)}
    entry = Entry(name=b"a", data=b"first", local=sizes, central=sizes)
    assert refusal(tmp_path, Zip(entries=[entry]).build()).code == "archive-stray-data"
