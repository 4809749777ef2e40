"""How a download or an upload is shown."""

from __future__ import annotations

import io
import json

import pytest

from engineshed_packages.progress import Bar, Tenths, bar_text, choose, no_progress

MIB = 1024 * 1024


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_there_is_a_line_each_tenth() -> None:
    stream = io.StringIO()
    show = choose(stream, as_json=False, wanted=True)
    for received in range(0, 101):
        show(received, 100)
    assert stream.getvalue().splitlines() == [f"{tenth} % of 100 bytes" for tenth in range(0, 101, 10)]


def test_for_a_program_there_are_events() -> None:
    stream = io.StringIO()
    choose(stream, as_json=True, wanted=True)(50, 100)
    assert json.loads(stream.getvalue()) == {
        "event": "progress",
        "percent": 50,
        "done_bytes": 50,
        "total_bytes": 100,
    }


def test_on_a_terminal_there_is_a_bar_that_ends_with_a_line() -> None:
    stream = Terminal()
    show = choose(stream, as_json=False, wanted=True)
    show(100, 100)
    assert stream.getvalue().startswith("\r[##############################] 100 %")
    assert stream.getvalue().endswith("\n")


def test_what_is_not_wanted_is_not_shown() -> None:
    assert choose(Terminal(), as_json=False, wanted=False) is no_progress


def test_the_bar_tells_rate_and_time_left() -> None:
    text = bar_text(5 * MIB, 10 * MIB, rate=MIB)
    assert text.split() == [
        "[###############...............]",
        "50",
        "%",
        "of",
        "10.0",
        "MiB",
        "1.0",
        "MiB/s",
        "0:05",
        "left",
    ]


@pytest.mark.parametrize(("received", "total"), [(0, 0), (0, 10), (20, 10)])
def test_odd_numbers_do_no_harm(received: int, total: int) -> None:
    assert "%" in bar_text(received, total, rate=0)


def test_a_resumed_download_is_rated_by_its_rest() -> None:
    clock = iter([0.0, 1.0])
    stream = Terminal()
    bar = Bar(stream, lambda: next(clock))
    bar(90 * MIB, 100 * MIB)
    bar(91 * MIB, 100 * MIB)
    assert "1.0 MiB/s" in stream.getvalue()


def test_the_bar_is_not_drawn_more_often_than_an_eye_sees() -> None:
    stream = Terminal()
    bar = Bar(stream, lambda: 1.0)
    for received in range(1000):
        bar(received, 1000)
    assert stream.getvalue().count("\r") == 1


def test_an_empty_whole_is_complete() -> None:
    told: list[int] = []
    Tenths(lambda tenth, done, total: told.append(tenth))(0, 0)
    assert told == [10]
