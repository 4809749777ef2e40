"""Reading archives: what is accepted, what a damaged one does, and what property holds for all of them."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engineshed_packages import archive as archive_of
from engineshed_packages.archive import Entry, Item, Limits, open_archive, write_archive
from engineshed_packages.errors import ArchiveRefused
from tests.packages import zip_bytes
from tests.packages.zip_bytes import Zip, two_entries


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    return path


def contents(path: Path) -> dict[str, bytes]:
    """Every byte of every entry; raises what reading raises."""
    with open_archive(path) as archive:
        return {entry.name: archive.read(entry.name, max_bytes=1_000_000) for entry in archive.entries}


def code_of(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(ArchiveRefused) as caught:
        if limits is None:
            contents(path)
        else:
            open_archive(path, limits).close()
    return caught.value.code


def test_a_zip_made_by_hand_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, Zip(entries=two_entries()).build())
    assert contents(path) == {"a.txt": b"first", "lib/b.txt": b"second content"}


def test_a_stored_zip_of_the_standard_library_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "first")
        file.writestr("lib/ä.txt", "second")
    assert contents(path) == {"a.txt": b"first", "lib/ä.txt": b"second"}


def test_an_entry_says_where_its_content_lies(tmp_path: Path) -> None:
    data = Zip(entries=two_entries()).build()
    with open_archive(write(tmp_path, data)) as archive:
        entry = archive.entries[1]
    assert data[entry.offset : entry.offset + entry.size_bytes] == b"second content"


def test_pieces_of_an_entry_give_back_the_memory_of_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[tuple[int, int]] = []
    monkeypatch.setattr(archive_of, "drop_pages", lambda file, *, start, end: dropped.append((start, end)))
    with open_archive(write(tmp_path, Zip(entries=two_entries()).build())) as archive:
        entry = archive.entries[1]
        pieces = list(archive.pieces(entry, piece_bytes=6))
    assert pieces == [b"second", b" conte", b"nt"]
    assert dropped == [(entry.offset, entry.offset + read) for read in (6, 12, 14)]


def test_an_entry_keeps_its_permission_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, [Item.of_bytes("run", b"", mode=0o755)])
    with open_archive(path) as archive:
        assert archive.entries == (Entry(name="run", size_bytes=0, mode=0o755, crc32=0, offset=33),)


def test_an_archive_without_entries_is_read(tmp_path: Path) -> None:
    assert contents(write(tmp_path, Zip(entries=[]).build())) == {}


def test_find_gives_none_for_a_name_that_is_not_there(tmp_path: Path) -> None:
    with open_archive(write(tmp_path, Zip(entries=two_entries()).build())) as archive:
        assert archive.find("c.txt") is None


def test_reading_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, Zip(entries=two_entries()).build())
    with open_archive(path) as archive, pytest.raises(ArchiveRefused) as caught:
        archive.read("c.txt", max_bytes=10)
    assert caught.value.code == "archive-entry-missing"


def test_reading_more_than_allowed_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, Zip(entries=two_entries()).build())
    with open_archive(path) as archive, pytest.raises(ArchiveRefused) as caught:
        archive.read("a.txt", max_bytes=4)
    assert caught.value.code == "archive-too-large"


def test_two_contents_can_be_read_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    first, second = b"1" * 3_000_000, b"2" * 3_000_000
    write_archive(path, [Item.of_bytes("a", first), Item.of_bytes("b", second)])
    with open_archive(path) as archive:
        one, other = (archive.open(entry) for entry in archive.entries)
        read = [(one.read(1_000_000), other.read(1_000_000)) for _ in range(3)]
    assert b"".join(pair[0] for pair in read) == first
    assert b"".join(pair[1] for pair in read) == second


def test_a_content_ends_where_its_entry_ends(tmp_path: Path) -> None:
    with open_archive(write(tmp_path, Zip(entries=two_entries()).build())) as archive:
        content = archive.open(archive.entries[0])
        assert content.read(1000) == b"first"
        assert content.read(1000) == b""


def test_a_flipped_content_is_refused_when_it_is_read(tmp_path: Path) -> None:
    data = Zip(entries=two_entries()).build().replace(b"second", b"sEcond")
    assert code_of(write(tmp_path, data)) == "archive-corrupt"


def test_a_flipped_content_is_refused_by_who_reads_exactly_its_length(tmp_path: Path) -> None:
    data = Zip(entries=two_entries()).build().replace(b"first", b"fIrst")
    with open_archive(write(tmp_path, data)) as archive:
        content = archive.open(archive.entries[0])
        with pytest.raises(ArchiveRefused) as caught:
            content.read(5)
    assert caught.value.code == "archive-corrupt"


def test_an_archive_cut_off_while_it_is_open_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, [Item.of_bytes("a", b"1" * 3_000_000)])
    with open_archive(path) as archive:
        with path.open("r+b") as file:
            file.truncate(1_000_000)
        with pytest.raises(ArchiveRefused) as caught:
            archive.read("a", max_bytes=3_000_000)
    assert caught.value.code == "archive-truncated"


def test_the_file_is_closed_when_an_archive_is_refused(tmp_path: Path) -> None:
    # A file left open would be a ResourceWarning, and warnings are errors.
    assert code_of(write(tmp_path, b"no zip")) == "archive-not-zip"


@pytest.mark.parametrize("data", [b"", b"P", b"hello", b"<html>" * 50_000, b"\0" * 200_000])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    assert code_of(write(tmp_path, data)) == "archive-not-zip"


def test_a_long_archive_without_its_end_is_called_truncated(tmp_path: Path) -> None:
    data = Zip(entries=[zip_bytes.Entry(name=b"a", data=b"x" * 500_000)]).build()
    assert code_of(write(tmp_path, data[:300_000])) == "archive-truncated"


def test_no_truncation_is_accepted(tmp_path: Path) -> None:
    # The content is a zip itself, as in a bundle: its end record must not pass for the outer one.
    inner = Zip(entries=two_entries()).build()
    data = Zip(entries=[*two_entries(), zip_bytes.Entry(name=b"package.zip", data=inner)]).build()
    accepted = []
    for length in range(len(data)):
        try:
            contents(write(tmp_path, data[:length]))
        except ArchiveRefused:
            continue
        accepted.append(length)
    assert accepted == []


def test_no_flipped_bit_gives_other_names_or_contents(tmp_path: Path) -> None:
    entries = two_entries()
    data = Zip(entries=entries).build()
    whole = {entry.name.decode(): entry.data for entry in entries}
    wrong = []
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = contents(write(tmp_path, bytes(flipped)))
        except ArchiveRefused:
            continue
        if found != whole:
            wrong.append((bit, found))
    assert wrong == []


names = st.from_regex(r"[a-y0-9]{1,8}(/[a-y0-9]{1,8}){0,2}z", fullmatch=True)


@settings(deadline=None, max_examples=60)
@given(
    files=st.dictionaries(names, st.binary(max_size=200), min_size=1, max_size=5),
    zip64_from=st.sampled_from([0, 100, 2**32 - 1]),
    bits=st.lists(st.integers(min_value=0), min_size=1, max_size=40),
)
def test_no_flipped_bit_of_any_archive_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], zip64_from: int, bits: list[int]
) -> None:
    path = tmp_path_factory.mktemp("flip") / "a.zip"
    write_archive(path, [Item.of_bytes(*item) for item in files.items()], zip64_from=zip64_from)
    assert contents(path) == files
    data = path.read_bytes()
    for bit in bits:
        flipped = bytearray(data)
        place = bit % (8 * len(data))
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found = contents(path)
        except ArchiveRefused:
            continue
        assert found == files


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_damage_of_any_kind_is_refused_by_no_other_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    good = Zip(entries=two_entries()).build()
    start = data.draw(st.integers(0, len(good)))
    stop = data.draw(st.integers(start, len(good)))
    path = tmp_path_factory.mktemp("damage") / "a.zip"
    path.write_bytes(good[:start] + data.draw(st.binary(max_size=80)) + good[stop:])
    try:
        found = contents(path)
    except ArchiveRefused:
        return
    assert found == {"a.txt": b"first", "lib/b.txt": b"second content"}


def test_a_small_zip64_archive_made_by_hand_is_read(tmp_path: Path) -> None:
    size, crc = 5, zlib.crc32(b"first")
    sizes = struct.pack("<HHQQ", 1, 16, size, size)
    saturated: dict[str, int | bytes] = {
        "packed": 2**32 - 1,
        "size": 2**32 - 1,
        "extra": sizes,
        "version": 45,
    }
    entry = zip_bytes.Entry(name=b"a", data=b"first", local=saturated, central=saturated)
    body = zip_bytes.local_header(entry) + entry.data
    directory = zip_bytes.central_header(entry, 0)
    at = len(body) + len(directory)
    ends = zip_bytes.zip64_ends(1, directory_bytes=len(directory), offset=len(body), at=at)
    ends += zip_bytes.end_record(0xFFFF, directory_bytes=2**32 - 1, offset=2**32 - 1)
    path = write(tmp_path, body + directory + ends)
    with open_archive(path) as archive:
        assert archive.entries == (
            Entry(name="a", size_bytes=size, mode=0o644, crc32=crc, offset=len(body) - size),
        )
    assert contents(path) == {"a": b"first"}


def test_an_entry_behind_five_gib_is_read(tmp_path: Path) -> None:
    large = 5 * 1024**3
    sizes = struct.pack("<HHQQ", 1, 16, large, large)
    saturated: dict[str, int | bytes] = {
        "packed": 2**32 - 1,
        "size": 2**32 - 1,
        "extra": sizes,
        "version": 45,
        "crc": 1,
    }
    first = zip_bytes.Entry(name=b"large", local=saturated, central=saturated)
    first_header = zip_bytes.local_header(first)
    second_offset = len(first_header) + large
    second = zip_bytes.Entry(
        name=b"small", data=b"here", central={"extra": struct.pack("<HHQ", 1, 8, second_offset)}
    )
    tail = zip_bytes.local_header(second) + second.data
    directory_offset = second_offset + len(tail)
    directory = zip_bytes.central_header(first, 0) + zip_bytes.central_header(second, 2**32 - 1)
    at = directory_offset + len(directory)
    ends = zip_bytes.zip64_ends(2, directory_bytes=len(directory), offset=directory_offset, at=at)
    ends += zip_bytes.end_record(2, directory_bytes=len(directory), offset=2**32 - 1)
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.write(first_header)
        file.seek(second_offset)  # a hole: takes no room on the disk
        file.write(tail + directory + ends)
    with open_archive(path) as archive:
        assert [entry.size_bytes for entry in archive.entries] == [large, 4]
        assert archive.read("small", max_bytes=4) == b"here"


def test_a_content_is_a_stream_for_whoever_takes_streams(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, [Item.of_bytes("a", b"one\ntwo\n")])
    with open_archive(path) as archive, archive.open(archive.entries[0]) as content:
        assert isinstance(content, io.BufferedReader)
        assert list(content) == [b"one\n", b"two\n"]
