"""Which bytes of a file a request gets: a table of cases after RFC 9110."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engineshed_server.api.ranges import Conditions, Selection, Verdict, select

ETAG = '"abc"'
WHOLE = Selection(verdict=Verdict.WHOLE, count_bytes=100)


def _select(length_bytes: int = 100, **headers: str) -> Selection:
    return select(Conditions(**headers), length_bytes=length_bytes, etag=ETAG)


def _part(offset: int, count_bytes: int) -> Selection:
    return Selection(verdict=Verdict.PART, offset=offset, count_bytes=count_bytes)


def test_without_a_range_the_whole_file_is_sent() -> None:
    assert _select() == WHOLE


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", _part(0, 1)),
        ("bytes=0-", _part(0, 100)),
        ("bytes=10-19", _part(10, 10)),
        ("bytes=99-", _part(99, 1)),
        ("bytes=90-5000", _part(90, 10)),
        ("bytes=-1", _part(99, 1)),
        ("bytes=-5000", _part(0, 100)),
        ("bytes= 10-19 ", _part(10, 10)),
    ],
)
def test_a_range_inside_the_file_is_sent(header: str, expected: Selection) -> None:
    assert _select(range=header) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_behind_the_end_cannot_be_satisfied(header: str) -> None:
    assert _select(range=header).verdict is Verdict.UNSATISFIABLE


def test_no_range_of_an_empty_file_can_be_satisfied() -> None:
    assert _select(0, range="bytes=0-").verdict is Verdict.UNSATISFIABLE


@pytest.mark.parametrize(
    "header",
    [
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=1-2,4-5",
        "bytes=٣-٤",
        "bytes=--5",
        "items=0-5",
        "bytes=0-5;x",
        "bytes=" + "9" * 50 + "-",
        "",
    ],
)
def test_a_range_that_is_unreadable_or_several_is_ignored(header: str) -> None:
    assert _select(range=header) == WHOLE


def test_if_range_with_the_files_tag_lets_the_range_count() -> None:
    assert _select(range="bytes=10-19", if_range=ETAG) == _part(10, 10)


@pytest.mark.parametrize("tag", ['"other"', 'W/"abc"', "abc", "Sun, 22 Nov 2026 08:00:00 GMT", ""])
def test_if_range_with_anything_else_sends_the_whole_file(tag: str) -> None:
    assert _select(range="bytes=10-19", if_range=tag) == WHOLE


@pytest.mark.parametrize("tags", [ETAG, "*", 'W/"abc"', '"x", "abc"', '"x",W/"abc"'])
def test_if_none_match_with_the_files_tag_is_not_modified(tags: str) -> None:
    assert _select(if_none_match=tags).verdict is Verdict.NOT_MODIFIED


@pytest.mark.parametrize("tags", ['"other"', '"ab", "c"', "abc", ""])
def test_if_none_match_with_other_tags_sends_the_file(tags: str) -> None:
    assert _select(if_none_match=tags) == WHOLE


@pytest.mark.parametrize("tags", [ETAG, "*", '"x", "abc"'])
def test_if_match_with_the_files_tag_sends_the_file(tags: str) -> None:
    assert _select(if_match=tags) == WHOLE


@pytest.mark.parametrize("tags", ['"other"', 'W/"abc"', ""])
def test_if_match_compares_strongly(tags: str) -> None:
    assert _select(if_match=tags).verdict is Verdict.PRECONDITION_FAILED


@given(st.integers(0, 300), st.text("0123456789-=, bytes", max_size=20))
def test_what_is_sent_always_lies_inside_the_file(length_bytes: int, header: str) -> None:
    chosen = _select(length_bytes, range=f"bytes={header}")
    assert 0 <= chosen.offset <= chosen.offset + chosen.count_bytes <= length_bytes
