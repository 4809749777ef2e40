"""Log lines: one line each, whatever somebody put into a field, and no secrets."""

import logging

import pytest

from engineshed_server.api.request_ids import begin_request, end_request
from engineshed_server.serve.logs import MAX_FIELD_CHARS, LineFormatter, log_config


def _line(message: str = "request", **fields: object) -> str:
    record = logging.LogRecord("engineshed_server.app", logging.INFO, "", 1, message, None, None)
    record.created = 0.0
    vars(record).update(fields)
    return LineFormatter().format(record)


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
