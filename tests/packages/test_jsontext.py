"""JSON from afar: size, depth, numbers and control characters are bounded before anything is believed."""

import pytest

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.jsontext import Fields, escape_controls, read_object


def code_of(data: bytes) -> str:
    with pytest.raises(ProtocolRefused) as refusal:
        read_object(data, what="poll", max_bytes=1000)
    return refusal.value.code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b" " * 1001, "json-too-large"),
        (b"", "json-unreadable"),
        (b"<html>", "json-unreadable"),
        (b"[]", "json-unreadable"),
        (b'{"a": NaN}', "json-unreadable"),
        (b'{"a": -Infinity}', "json-unreadable"),
        (b'{"a": 1, "a": 2}', "json-unreadable"),
        (b'{"a": "\xff"}', "json-unreadable"),
        (b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", "json-too-deep"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, "json-too-deep"),
    ],
)
def test_json_that_is_not_one_bounded_object_is_refused(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_brackets_beyond_the_parsers_recursion_are_refused_as_too_deep() -> None:
    with pytest.raises(ProtocolRefused) as refusal:
        read_object(b'{"a":' + b"[" * 100_000, what="poll", max_bytes=200_000)
    assert refusal.value.code == "json-too-deep"


def test_an_integer_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ProtocolRefused) as refusal:
        read_object(b'{"a":' + b"9" * 5000 + b"}", what="poll", max_bytes=200_000)
    assert refusal.value.code == "json-unreadable"


def test_control_characters_are_written_out() -> None:
    assert escape_controls("a\x1b[31m\r\n\u202eb\ud800\x00") == "a\\x1b[31m\\r\\n\\u202eb\\ud800\\x00"


def test_ordinary_text_of_any_script_stays() -> None:
    assert escape_controls("Grüße 東京 😀") == "Grüße 東京 😀"


def test_what_nobody_asked_for_is_kept() -> None:
    fields = Fields({"a": "x", "new": [1]}, "poll")
    assert fields.text("a") == "x"
    assert fields.rest() == {"new": [1]}


@pytest.mark.parametrize("value", [True, -1, 1.5, "3", 2**53])
def test_a_number_of_another_kind_or_out_of_bounds_is_refused(value: object) -> None:
    with pytest.raises(ProtocolRefused, match="field 'n'"):
        Fields({"n": value}, "poll").integer("n")  # type: ignore[dict-item]  # wrong on purpose


def test_zero_is_a_value_and_not_the_default() -> None:
    assert Fields({"n": 0}, "poll").integer("n", default=7) == 0


def test_the_code_of_an_unreadable_field_is_one_word() -> None:
    with pytest.raises(ProtocolRefused) as refusal:
        Fields({}, "token request").text("engine")
    assert refusal.value.code == "token-request-unreadable"
