"""Writing archives: the same bytes everywhere, whole or not at all, and nothing the reader would refuse."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import BinaryIO

import pytest

from engineshed_packages.archive import DEFAULT_LIMITS, Item, Limits, open_archive, write_archive
from engineshed_packages.digests import CHUNK_BYTES
from engineshed_packages.errors import ArchiveRefused

# Changes only when the format does, and then every package ever signed would have other bytes.
SHA256_OF_ZIP64_SAMPLE = "b5d593cf545de0d72575dd5c5e5e42402fc6d411f36b4970745983240af29f81"
SHA256_OF_SAMPLE = "6cd0691245907b65f2e8e24ac21360bf55a11fec9f43f6e305714f5a68fb525d"


def sample_items() -> list[Item]:
    return [
        Item.of_bytes("MANIFEST.json", b"{}\n"),
        Item.of_bytes("bin/run", b"#!/bin/sh\n", mode=0o755),
        Item.of_bytes("conf/ä.toml", b""),
    ]


def entries_of(path: Path) -> list[tuple[str, int, bytes]]:
    with open_archive(path) as archive:
        return [
            (entry.name, entry.mode, archive.read(entry.name, max_bytes=10**7)) for entry in archive.entries
        ]


def refused(path: Path, items: list[Item], limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(ArchiveRefused) as caught:
        write_archive(path, items, limits=limits)
    return caught.value.code


def test_what_is_written_is_read_in_the_order_given(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    items = [
        Item.of_bytes("z", b"1"),
        Item.of_bytes("a", b"2", mode=0o755),
        Item.of_bytes("m", b"3" * 3_000_000),
    ]
    write_archive(path, items)
    assert entries_of(path) == [("z", 0o644, b"1"), ("a", 0o755, b"2"), ("m", 0o644, b"3" * 3_000_000)]


def test_the_same_items_give_the_same_bytes_on_any_machine(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", sample_items())
    assert hashlib.sha256((tmp_path / "a.zip").read_bytes()).hexdigest() == SHA256_OF_SAMPLE


def test_the_content_of_a_file_is_written(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    write_archive(tmp_path / "a.zip", [Item.of_file("a", source)])
    assert entries_of(tmp_path / "a.zip") == [("a", 0o644, b"content")]


def test_the_standard_library_finds_the_same_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, sample_items())
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        assert {name: file.read(name) for name in file.namelist()} == {
            "MANIFEST.json": b"{}\n",
            "bin/run": b"#!/bin/sh\n",
            "conf/ä.toml": b"",
        }


def test_every_entry_has_the_first_date_a_zip_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, sample_items())
    with zipfile.ZipFile(path) as file:
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_forced_zip64_archive_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, sample_items(), zip64_from=0)
    assert b"PK\x06\x06" in path.read_bytes()
    assert [name for name, _, _ in entries_of(path)] == ["MANIFEST.json", "bin/run", "conf/ä.toml"]


def test_a_forced_zip64_archive_has_the_same_bytes_on_any_machine(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", sample_items(), zip64_from=0)
    assert hashlib.sha256((tmp_path / "a.zip").read_bytes()).hexdigest() == SHA256_OF_ZIP64_SAMPLE


def test_the_standard_library_reads_a_forced_zip64_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, sample_items(), zip64_from=0)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        assert file.read("bin/run") == b"#!/bin/sh\n"


@pytest.mark.parametrize(("count", "zip64"), [(65_534, False), (65_535, True)])
def test_more_entries_than_a_plain_end_record_can_count_are_read_back(
    tmp_path: Path, count: int, zip64: bool
) -> None:
    path, limits = tmp_path / "a.zip", Limits(max_entries=70_000)
    write_archive(path, (Item.of_bytes(f"{n}", b"") for n in range(count)), limits=limits)
    with open_archive(path, limits) as archive:
        assert len(archive.entries) == count
    assert (b"PK\x06\x06" in path.read_bytes()) is zip64


def test_an_archive_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"old")
    write_archive(tmp_path / "a.zip", [Item.of_bytes("a", b"new")])
    assert entries_of(tmp_path / "a.zip") == [("a", 0o644, b"new")]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_failure_leaves_the_old_archive_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        write_archive(
            tmp_path / "a.zip", [Item.of_bytes("a", b"new"), Item.of_file("b", tmp_path / "absent")]
        )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.zip": b"old"}


class Unsteady(io.BytesIO):
    """A file that has *said* bytes when asked, and then others are read."""

    def __init__(self, said: int, data: bytes) -> None:
        super().__init__(data)
        self._said = said

    def seek(self, offset: int, whence: int = 0, /) -> int:
        place = super().seek(offset, whence)
        return self._said if whence == 2 else place


@pytest.mark.parametrize("said", [3, 5])
def test_a_file_that_changes_its_length_while_it_is_read_is_refused(tmp_path: Path, said: int) -> None:
    def unsteady() -> BinaryIO:
        return Unsteady(said, b"four")

    assert refused(tmp_path / "a.zip", [Item("a", 0o644, unsteady)]) == "archive-source-changed"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_grows_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    stream = Unsteady(3, b"x" * 10 * CHUNK_BYTES)
    read_to: list[int] = []
    stream.close = lambda: read_to.append(stream.tell())  # type: ignore[method-assign]  # to look before it is closed
    assert refused(tmp_path / "a.zip", [Item("a", 0o644, lambda: stream)]) == "archive-source-changed"
    assert read_to == [CHUNK_BYTES]


@pytest.mark.parametrize("name", ["../evil", "NUL.txt", "a\\b", "a/"])
def test_a_name_the_reader_refuses_is_not_written(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / "a.zip", [Item.of_bytes(name, b"")]) == "archive-name-refused"
    assert list(tmp_path.iterdir()) == []


def test_names_that_meet_on_some_system_are_not_written(tmp_path: Path) -> None:
    items = [Item.of_bytes("a", b""), Item.of_bytes("A", b"")]
    assert refused(tmp_path / "a.zip", items) == "archive-duplicate"
    assert list(tmp_path.iterdir()) == []


LIMITS = {
    "archive-too-many-entries": Limits(max_entries=2),
    "archive-directory-too-large": Limits(max_directory_bytes=100),
    "archive-too-large": Limits(max_entry_bytes=9),
}


@pytest.mark.parametrize("code", LIMITS)
def test_what_exceeds_a_limit_is_not_written(tmp_path: Path, code: str) -> None:
    assert refused(tmp_path / "a.zip", sample_items(), LIMITS[code]) == code
    assert list(tmp_path.iterdir()) == []


def test_a_total_over_the_limit_is_not_written(tmp_path: Path) -> None:
    assert refused(tmp_path / "a.zip", sample_items(), Limits(max_total_bytes=12)) == "archive-too-large"


def test_a_mode_with_special_bits_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="permission bits"):
        Item.of_bytes("a", b"", mode=0o4755)
