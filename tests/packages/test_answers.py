"""What headers mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engineshed_packages.transport.answers import (
    MAX_RETRY_AFTER_S,
    Problem,
    Stream,
    content_length,
    media_type,
    read_problem,
    retry_after_s,
    shown_url,
)

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("7", 7),
        ("0", 0),
        ("999999", MAX_RETRY_AFTER_S),
        ("Sun, 22 Nov 2026 08:01:30 GMT", 90),
        ("Sun, 22 Nov 2026 07:00:00 GMT", 0),
        ("Sun, 22 Nov 2099 07:00:00 GMT", MAX_RETRY_AFTER_S),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("٧", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_a_day(text: str | None, seconds: int | None) -> None:
    assert retry_after_s(text, now=NOW) == seconds


@pytest.mark.parametrize(
    ("text", "length"),
    [("0", 0), ("17", 17), ("", None), ("-1", None), ("1e3", None), ("9" * 30, None)],
)
def test_a_content_length_is_digits_or_not_there(text: str, length: int | None) -> None:
    assert content_length({"content-length": text}) == length


def test_a_media_type_has_no_parameters_and_is_lower_case() -> None:
    assert media_type({"content-type": "Text/HTML; charset=utf-8"}) == "text/html"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"code":"engine-revoked","detail":"Why"}', Problem(code="engine-revoked", detail="Why")),
        (b'{"code":"<script>","title":"No"}', Problem(code=None, detail="No")),
        (b'{"detail":"\\u001b[2J"}', Problem(code=None, detail="\\x1b[2J")),
        (b"[]", Problem()),
        (b"", Problem()),
        (b'{"code":1}', Problem()),
    ],
)
def test_a_problem_is_read_with_suspicion(body: bytes, problem: Problem) -> None:
    stream = Stream(status=403, headers={"content-type": "application/problem+json"}, chunks=iter(()))
    assert read_problem(stream, body) == problem


def test_an_address_is_shown_without_user_and_query() -> None:
    assert shown_url("https://u:p@host:8443/a/b?token=1#x") == "https://host:8443/a/b"
