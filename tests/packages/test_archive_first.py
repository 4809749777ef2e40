"""The first entry of a package, found in its first bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from engineshed_packages.archive import open_archive
from engineshed_packages.archive.first import HEAD_BYTES, find_first_entry
from engineshed_packages.archive.records import LOCAL
from engineshed_packages.errors import ArchiveRefused
from tests.vendor import Vendor


@pytest.fixture
def package(tmp_path: Path) -> bytes:
    return Vendor(tmp_path).package("1.0.0").read_bytes()


def test_the_first_entry_is_found_where_the_directory_says(package: bytes, tmp_path: Path) -> None:
    (tmp_path / "package.zip").write_bytes(package)
    with open_archive(tmp_path / "package.zip") as archive:
        entry = archive.entries[0]
    found = find_first_entry(package[:HEAD_BYTES])
    assert (found.name, found.offset, found.size_bytes) == (entry.name, entry.offset, entry.size_bytes)


def header(package: bytes, **changes: int) -> bytes:
    """The package with another first header; *changes* by position in ``records.LOCAL``."""
    fields = list(LOCAL.unpack_from(package))
    for name, value in changes.items():
        fields[int(name[1:])] = value
    return LOCAL.pack(*fields) + package[LOCAL.size :]


def refusal(head: bytes) -> str:
    with pytest.raises(ArchiveRefused) as caught:
        find_first_entry(head)
    return caught.value.code


@pytest.mark.parametrize(
    ("cut", "code"), [(0, "archive-not-zip"), (4, "archive-truncated"), (35, "archive-truncated")]
)
def test_a_head_that_is_too_short_is_refused(package: bytes, cut: int, code: str) -> None:
    assert refusal(package[:cut]) == code


def test_another_file_is_refused() -> None:
    assert refusal(b"<html>" + b"x" * 100) == "archive-not-zip"


def test_a_compressed_entry_is_refused(package: bytes) -> None:
    assert refusal(header(package, _3=8)) == "archive-not-stored"


def test_a_name_that_is_no_text_is_refused(package: bytes) -> None:
    assert refusal(package[: LOCAL.size] + b"\xff" + package[LOCAL.size + 1 :]) == "archive-name-refused"


def test_a_length_that_stands_nowhere_is_refused(package: bytes) -> None:
    assert refusal(header(package, _7=0xFFFFFFFF, _8=0xFFFFFFFF)) == "archive-mismatch"


def test_a_long_length_is_read_where_it_stands(package: bytes) -> None:
    extra = struct.pack("<2H2Q", 1, 16, 5, 5)
    fields = list(LOCAL.unpack_from(package))
    fields[7] = fields[8] = 0xFFFFFFFF
    fields[10] = len(extra)
    name = package[LOCAL.size : LOCAL.size + fields[9]]
    found = find_first_entry(LOCAL.pack(*fields) + name + extra + b"12345")
    assert (found.offset, found.size_bytes) == (LOCAL.size + len(name) + len(extra), 5)
