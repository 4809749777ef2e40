"""Names in archives, rows 1, 5 and 6 of the design's list of abuse: refused on every system alike."""

import unicodedata
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engineshed_packages.archive import check_name, check_names, open_archive
from engineshed_packages.errors import ArchiveRefused
from tests.packages.zip_bytes import Entry, Zip, two_entries


def refusal(tmp_path: Path, data: bytes) -> ArchiveRefused:
    path = tmp_path / "hostile.zip"
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused) as caught:
        open_archive(path).close()
    return caught.value


# Rows 1 and 5: names

BAD_NAMES = [
    "../evil",
    "a/../../evil",
    "..",
    "./a",
    "a/./b",
    "/etc/passwd",
    "//server/share",
    "C:/windows",
    "C:evil",
    "\\\\server\\share",
    "a\\b",
    "..\\evil",
    "a//b",
    "",
    "CON",
    "clock$",
    "con.txt",
    "a/NUL.txt",
    "nul .txt",
    "AUX.tar.gz",
    "lpt1",
    "COM9.log",
    "com¹",
    "CONIN$",
    "name.",
    "name ",
    "folder./file",
    "folder /file",
    "a:b",
    "file::$DATA",
    "a<b",
    'a"b',
    "a|b",
    "a?b",
    "a*b",
    "a\nb",
    "a\x00b",
    "a\x1b[31mb",
    "a\x7fb",
    "a\x85b",
    "exe\u202etxt",
    "a\u200bb",
    "a\u2066b",
    "\ufeffa",
    "a\u2028b",
    "a" * 241,
    "ä" * 121,
    "a/" * 120 + "a",
    "folder/",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    entry = Entry(name=name.encode(), flags=0x0800)
    error = refusal(tmp_path, Zip(entries=[*two_entries(), entry]).build())
    assert error.code == "archive-name-refused"
    assert ascii(name[:300]) in str(error)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute"),
        ("folder/", "names a folder"),
        ("a/../b", "the part '..'"),
        ("a" * 241, "241 characters"),
        ("x\u202ey", "U+202E"),
    ],
    ids=ascii,
)
def test_a_bad_name_is_refused_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(ArchiveRefused) as caught:
        check_name(name)
    assert reason in str(caught.value)


GOOD_NAMES = [
    "a" * 240,
    "ä" * 120,
    "conf/console.toml",
    "nul-file",
    "auxiliary/com10",
    ".hidden",
    "a b/c d",
    "日本/語",
]


@pytest.mark.parametrize("name", GOOD_NAMES, ids=ascii)
def test_an_unusual_good_name_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "good.zip"
    path.write_bytes(Zip(entries=[Entry(name=name.encode(), flags=0x0800)]).build())
    with open_archive(path) as archive:
        assert [entry.name for entry in archive.entries] == [name]


def test_a_name_in_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, Zip(entries=[Entry(name="ä".encode("cp437"))]).build())
    assert error.code == "archive-name-refused"


def test_a_name_that_is_marked_utf8_and_is_not_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, Zip(entries=[Entry(name=b"\xff\xfe", flags=0x0800)]).build())
    assert error.code == "archive-name-refused"


DUPLICATES = {
    "the same name": ("a.txt", "a.txt"),
    "case": ("lib/B.txt", "LIB/b.TXT"),
    "case of a folder": ("Lib/a", "lib/b"),
    "case of an outer folder with others between": ("X/y/a", "x/y/b"),
    "normalisation": ("caf\u00e9", "cafe\u0301"),
    "case and normalisation": ("CAF\u00c9", "cafe\u0301"),
    "sharp s": ("stra\u00dfe", "STRASSE"),
    "a file that is a folder": ("a", "a/b"),
    "a file that is a folder in other letters": ("A", "a/b/c"),
}


@pytest.mark.parametrize(("first", "second"), DUPLICATES.values(), ids=DUPLICATES)
def test_names_that_meet_on_some_system_are_refused(tmp_path: Path, first: str, second: str) -> None:
    between = ["a-b", "a.c", "lib-z", "m", "x-y"]
    names = [first, *between, second]
    entries = [Entry(name=name.encode(), flags=0x0800) for name in names]
    assert refusal(tmp_path, Zip(entries=entries).build()).code == "archive-duplicate"


def test_names_that_share_folders_and_beginnings_are_read(tmp_path: Path) -> None:
    names = ["a/b/c", "a/b/d", "a/b-c", "a-b", "a.b/c", "ab", "b/a", "b/a.b"]
    path = tmp_path / "good.zip"
    path.write_bytes(Zip(entries=[Entry(name=name.encode()) for name in names]).build())
    with open_archive(path) as archive:
        assert [entry.name for entry in archive.entries] == names


def fold(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def meet(first: str, second: str) -> bool:
    """The rule as the documentation words it, for two names: slow, and with no trick."""
    one, other = first.split("/"), second.split("/")
    for depth in range(1, min(len(one), len(other)) + 1):
        same_place = [fold(part) for part in one[:depth]] == [fold(part) for part in other[:depth]]
        if same_place and (one[:depth] != other[:depth] or depth in (len(one), len(other))):
            return True
    return False


@given(st.lists(st.from_regex(r"[abAB\u00e9\u00c9.-]{1,2}(/[abA-]){0,3}", fullmatch=True), max_size=8))
def test_names_are_refused_exactly_when_two_of_them_meet(names: list[str]) -> None:
    expected = any(meet(first, second) for first, second in combinations(names, 2))
    try:
        check_names(names)
    except ArchiveRefused:
        assert expected
    else:
        assert not expected
