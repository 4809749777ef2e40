"""Versions: one order for both sides, the same as text key; what cannot be ordered is refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version as Pep440

from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.versions import MAX_SORT_KEY_CHARS, MAX_VERSION_CHARS, Version

IN_ORDER = [
    "0",
    "0.0.1",
    "0.9",
    "1.0.dev1",
    "1.0a1",
    "1.0a2.dev3",
    "1.0a2",
    "1.0a10",
    "1.0b1",
    "1.0rc1",
    "1.0rc1.post1",
    "1.0",
    "1.0.post1.dev1",
    "1.0.post1",
    "1.0.post2",
    "1.0.1",
    "1.2",
    "1.9",
    "1.10",
    "1.10.0.1",
    "2.9",
    "2.10",
    "3.4.0rc1",
    "3.4.0",
    "3.4.1",
    "10.0",
    "2026.11.22",
    "99999999999999999999",
    "1!0.1",
]

numbers = st.integers(0, 120)


@st.composite
def version_texts(draw: st.DrawFn) -> str:
    text = ".".join(str(part) for part in draw(st.lists(numbers, min_size=1, max_size=4)))
    epoch = draw(st.sampled_from(["", "", "1!"]))
    pre = draw(st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from(["a", "b", "rc"]), numbers)))
    post = draw(st.one_of(st.just(""), st.builds(".post{}".format, numbers)))
    dev = draw(st.one_of(st.just(""), st.builds(".dev{}".format, numbers)))
    return f"{epoch}{text}{pre}{post}{dev}"


@pytest.mark.parametrize(("lower", "higher"), list(itertools.pairwise(IN_ORDER)))
def test_a_version_is_lower_than_the_next(lower: str, higher: str) -> None:
    assert Version(lower) < Version(higher)
    assert Version(higher) > Version(lower)


def test_the_text_key_sorts_as_the_versions_do() -> None:
    keys = [Version(text).sort_key for text in IN_ORDER]
    assert sorted(keys) == keys


@given(version_texts(), version_texts())
def test_the_order_is_the_one_of_pep_440(first: str, second: str) -> None:
    assert (Version(first) < Version(second)) == (Pep440(first) < Pep440(second))
    assert (Version(first) == Version(second)) == (Pep440(first) == Pep440(second))


@given(version_texts())
def test_the_text_key_is_digits_that_fit_a_column(text: str) -> None:
    key = Version(text).sort_key
    assert key.isascii()
    assert key.isdigit()
    assert len(key) <= MAX_SORT_KEY_CHARS


def test_the_longest_text_key_fits_a_column() -> None:
    text = ".".join("1" * 32)[:MAX_VERSION_CHARS]
    assert len(Version(text).sort_key) <= MAX_SORT_KEY_CHARS


def test_trailing_zeros_make_no_other_version() -> None:
    assert Version("3.4") == Version("3.4.0")
    assert hash(Version("3.4")) == hash(Version("3.4.0"))


def test_a_version_keeps_the_text_of_the_vendor() -> None:
    assert Version("3.4").text == "3.4"
    assert str(Version("3.04.0")) == "3.04.0"


def test_a_version_is_not_equal_to_its_text() -> None:
    assert Version("3.4") != "3.4"


def test_a_version_has_no_order_beside_a_text() -> None:
    with pytest.raises(TypeError):
        sorted([Version("3.4"), "3.5"])  # type: ignore[type-var]  # what is tested is that it fails


UNREADABLE = [
    "",
    " ",
    " 1.0",
    "1.0 ",
    "1.0\n",
    "1..0",
    "x",
    "latest",
    "1.0+local",
    "1.0-SNAPSHOT",
    "1/0",
    "../1.0",
    "\u0661.\u0660",
    "1.0po\u017ft1",
    "1" * (MAX_VERSION_CHARS + 1),
    None,
    3,
    3.4,
    ["1.0"],
]


@pytest.mark.parametrize("text", UNREADABLE, ids=ascii)
def test_what_cannot_be_ordered_is_refused(text: object) -> None:
    with pytest.raises(VersionUnreadable) as caught:
        Version.parse(text)
    assert caught.value.code == "version-unreadable"


def test_a_version_is_read_up_to_64_characters() -> None:
    assert Version.parse("1" * MAX_VERSION_CHARS) > Version("1")
