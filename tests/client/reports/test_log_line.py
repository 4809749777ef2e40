"""One event stays one line, whatever stands in its values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engineshed_client.reports.log_line import MAX_VALUE_CHARS, LogLine

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def written(value: str) -> str:
    return LogLine(at=AT, event="NOTE", attempt="att_a", values={"reason": value}).text()


def test_a_line_has_time_event_attempt_and_pairs() -> None:
    line = LogLine(at=AT, event="BEGIN", attempt="att_a", values={"from": "3.3.0", "to": "3.4.0"})
    assert line.text() == "2026-11-22T08:00:00Z BEGIN attempt=att_a from=3.3.0 to=3.4.0"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ('say "x"', '"say \\"x\\""'),
        ("C:\\engine", '"C:\\\\engine"'),
        ("a\r\nEND attempt=att_a outcome=OK", '"a\\r\\nEND attempt=att_a outcome=OK"'),
        ("\x1b[2J", '"\\x1b[2J"'),
        ("nul\0", '"nul\\x00"'),
        ("\u202eevil", '"\\u202eevil"'),
    ],
)
def test_a_value_is_written_harmlessly(value: str, expected: str) -> None:
    assert written(value) == f"2026-11-22T08:00:00Z NOTE attempt=att_a reason={expected}"


def test_a_long_value_is_cut() -> None:
    assert len(written("x" * 10_000)) < MAX_VALUE_CHARS + 80


@given(st.text(max_size=400))
def test_any_value_gives_one_printable_line_that_can_be_read(value: str) -> None:
    text = written(value)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)
    assert len(text.splitlines()) == 1
    line = LogLine.parse(text)
    assert line is not None
    assert line.text() == written(line.values["reason"])


@given(st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=200))
def test_a_printable_value_is_read_back_as_it_was(value: str) -> None:
    line = LogLine.parse(written(value))
    assert line is not None
    assert line.values["reason"] == value


@pytest.mark.parametrize("text", ["", "nonsense", "2026-11-22T08:00:00Z BEGIN", "x BEGIN attempt=a", "\0\0"])
def test_what_is_no_line_is_none(text: str) -> None:
    assert LogLine.parse(text) is None


@pytest.mark.parametrize("event", ["", "begin", "BE GIN", "B\n"])
def test_an_event_that_could_be_misread_is_a_bug(event: str) -> None:
    with pytest.raises(ValueError, match="event"):
        LogLine(at=AT, event=event, attempt="att_a")


@pytest.mark.parametrize("key", ["", "a b", "a=b", "Attempt", "attempt"])
def test_a_key_that_could_be_misread_is_a_bug(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        LogLine(at=AT, event="NOTE", attempt="att_a", values={key: "x"})
