"""How values are shown to people."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from engineshed_server.web.showing import ago, browser, moment, number, size, span

AT = datetime(2026, 11, 24, 15, 7, 30, tzinfo=UTC)


def test_a_moment_is_told_in_utc_and_for_programs() -> None:
    assert moment(AT) == '<time datetime="2026-11-24T15:07:30+00:00">2026-11-24 15:07 UTC</time>'


@pytest.mark.parametrize(
    ("before_s", "told"),
    [
        (0, "just now"),
        (59, "59 s ago"),
        (180, "3 min ago"),
        (7200, "2 h ago"),
        (4 * 86400, "4 days ago"),
        (-30, "in 30 s"),
        (-7 * 86400 + 60, "in 7 days"),
    ],
)
def test_how_long_ago_is_told_in_the_largest_unit(before_s: int, told: str) -> None:
    with time_machine.travel(AT, tick=False):
        assert f">{told}<" in str(ago(AT - timedelta(seconds=before_s)))


def test_what_never_was_is_told_as_that() -> None:
    assert (moment(None), ago(None)) == ("–", "never")


@pytest.mark.parametrize(
    ("count_bytes", "told"),
    [(999, "999 bytes"), (25_300_000, "25.3 MB"), (999_960, "1.0 MB"), (5 * 10**15, "5000.0 TB")],
)
def test_a_size_has_a_unit_that_fits(count_bytes: int, told: str) -> None:
    assert size(count_bytes) == told


def test_the_thousands_of_a_number_stand_apart() -> None:
    assert number(100000) == "100\u202f000"


def test_a_span_of_nothing_is_no_seconds() -> None:
    assert span(0) == "0 s"


@pytest.mark.parametrize(
    ("user_agent", "told"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36 Edg/156.0", "Edge on Linux"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/156.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8", "curl/8"),
        ("", "unknown"),
        ("<b>", "&lt;b&gt;"),
    ],
)
def test_a_browser_is_told_by_name_and_system(user_agent: str, told: str) -> None:
    assert browser(user_agent).endswith(f">{told}</span>")
