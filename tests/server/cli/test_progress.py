"""How far a transfer is: a bar on a terminal, lines elsewhere."""

import io

import pytest

from engineshed_server.cli.progress import Progress, format_bytes


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _shown(stream: io.StringIO, *positions: int, total_bytes: int = 1000) -> str:
    progress = Progress("x.zip", total_bytes=total_bytes, stream=stream)
    for position in positions:
        progress.at(position)
    progress.finish()
    return stream.getvalue()


def test_without_a_terminal_there_is_a_line_each_ten_percent() -> None:
    assert _shown(io.StringIO(), *range(0, 1001, 10)).splitlines() == [
        f"x.zip: {percent} %" for percent in range(10, 101, 10)
    ]


def test_a_jump_is_one_line() -> None:
    assert _shown(io.StringIO(), 5, 730) == "x.zip: 70 %\n"


def test_on_a_terminal_there_is_a_bar_with_rate_and_rest() -> None:
    shown = _shown(_Terminal(), 500, 1000)
    assert "50 %" in shown.replace("  ", " ")
    assert "/s" in shown
    assert "left" in shown
    assert shown.endswith("\n")


def test_an_empty_file_is_done_at_once() -> None:
    assert _shown(io.StringIO(), 0, total_bytes=0) == "x.zip: 100 %\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (25_300_000, "25.3 MB"), (7e12, "7000.0 GB")],
)
def test_bytes_are_written_for_people(count: float, text: str) -> None:
    assert format_bytes(count) == text
