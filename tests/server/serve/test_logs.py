"""Log lines: one line each, whatever somebody put into a field, and no secrets."""

import json
import logging
import os
import sys
from typing import Any

import pytest

from engineshed_server.api.request_ids import begin_request, end_request
from engineshed_server.serve.logs import (
    MAX_EXCEPTION_CHARS,
    MAX_FIELD_CHARS,
    JsonFormatter,
    LineFormatter,
    log_config,
)


def _record(message: str, fields: dict[str, object]) -> logging.LogRecord:
    record = logging.LogRecord("engineshed_server.app", logging.INFO, "", 1, message, None, None)
    record.created = 0.0
    vars(record).update(fields)
    return record


def _line(message: str = "request", **fields: object) -> str:
    return LineFormatter().format(_record(message, fields))


def _object(message: str = "request", **fields: object) -> dict[str, Any]:  # any JSON, compared with literals
    text = JsonFormatter().format(_record(message, fields))
    assert text.isascii()
    assert text.isprintable()
    found: dict[str, Any] = json.loads(text)
    return found


def _raised(text: str) -> logging.LogRecord:
    try:
        raise ValueError(text)
    except ValueError:
        record = _record("request failed", {})
        record.exc_info = sys.exc_info()
    return record


def test_a_line_is_time_level_place_event_and_fields() -> None:
    shown = _line(path="/healthz", status=200)
    assert shown == "1970-01-01T00:00:00Z INFO engineshed_server.app request path=/healthz status=200"


def test_a_field_with_blanks_is_quoted() -> None:
    assert _line(error='no "space" left').endswith("error=\"no 'space' left\"")


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[2Jx", "a\u2028b", "\x00"])
def test_no_field_can_forge_a_line_or_move_the_cursor(text: str) -> None:
    assert all(part.isprintable() for part in (_line(path=text), _line(text)))


def test_a_long_field_is_cut() -> None:
    assert len(_line(path="x" * 10_000)) < MAX_FIELD_CHARS + 200


@pytest.mark.parametrize("name", ["token", "secret", "password", "authorization"])
def test_a_secret_field_is_not_written(name: str) -> None:
    assert "hunter2" not in _line(**{name: "hunter2"})


def test_a_line_of_a_request_carries_its_id() -> None:
    begin_request("proxy-12345678")
    try:
        assert _line().endswith("request=proxy-12345678")
    finally:
        end_request()
    assert "request=" not in _line()


def test_the_chatter_of_the_metadata_library_is_left_out() -> None:
    assert log_config("info")["loggers"]["tuf"]["level"] == "WARNING"


def test_a_traceback_cannot_forge_a_line() -> None:
    shown = LineFormatter().format(_raised("x\n2026-11-22T08:00:00Z INFO forged\x1b[2J")).splitlines()
    assert shown[0].endswith("request failed")
    assert all(line.startswith("    ") and line.isprintable() for line in shown[1:])
    assert any("ValueError" in line for line in shown)


def test_in_json_a_line_is_an_object_with_a_frame_and_the_fields() -> None:
    assert _object(path="/healthz", status=200, share=0.5, gone=None, good=True) == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "event": "request",
        "logger": "engineshed_server.app",
        "pid": os.getpid(),
        "path": "/healthz",
        "status": 200,
        "share": 0.5,
        "gone": None,
        "good": True,
    }


def test_in_json_the_id_of_the_request_is_there_and_no_field_replaces_the_frame() -> None:
    begin_request("proxy-12345678")
    try:
        found = _object(event="forged", level="forged", request="forged")
    finally:
        end_request()
    assert (found["event"], found["level"], found["request"]) == ("request", "info", "proxy-12345678")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": 1}, b"x"])
def test_in_json_what_is_no_plain_value_becomes_text(value: object) -> None:
    assert isinstance(_object(value=value)["value"], str)


def test_in_json_fields_are_cut_and_secrets_left_out() -> None:
    found = _object(path="x" * 10_000, token="hunter2")
    assert len(found["path"]) == MAX_FIELD_CHARS
    assert "hunter2" not in str(found)


def test_in_json_an_exception_is_a_field_and_its_end_is_kept() -> None:
    text = JsonFormatter().format(_raised("x" * 3 * MAX_EXCEPTION_CHARS + "the end"))
    found = json.loads(text)
    assert "\n" not in text
    assert found["exception"].endswith("the end")
    assert len(found["exception"]) <= MAX_EXCEPTION_CHARS + 1
