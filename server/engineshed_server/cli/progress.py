"""How far a transfer is: a bar on a terminal, else a line each ten percent, on stderr.

shown = Progress("sample-1.0.0.zip", total_bytes=…, stream=sys.stderr)
shown.at(position_bytes)      # as often as one likes
shown.finish()
"""

from __future__ import annotations

import time
from typing import TextIO

BAR_CHARS = 30
REDRAW_S = 0.1
STEP_PERCENT = 10


def format_bytes(count: float) -> str:
    """*count* bytes for people: ``812 B``, ``25.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("the last unit returns")


class Progress:
    """Draws the progress of one transfer of *total_bytes* on *stream*."""

    def __init__(self, name: str, *, total_bytes: int, stream: TextIO) -> None:
        self._name = name
        self._total_bytes = total_bytes
        self._stream = stream
        self._bar = stream.isatty()
        self._started_s = time.monotonic()
        self._drawn_s = 0.0
        self._told_percent = 0
        self._open_line = False

    def at(self, position_bytes: int) -> None:
        """The first *position_bytes* are through."""
        percent = 100 if self._total_bytes == 0 else 100 * position_bytes // self._total_bytes
        if self._bar:
            self._draw(position_bytes, percent)
        elif percent // STEP_PERCENT > self._told_percent // STEP_PERCENT:
            self._told_percent = percent
            self._stream.write(f"{self._name}: {percent // STEP_PERCENT * STEP_PERCENT} %\n")
            self._stream.flush()

    def finish(self) -> None:
        """Leave the terminal's cursor on a line of its own, also after a failure."""
        if self._open_line:
            self._stream.write("\n")
            self._stream.flush()
            self._open_line = False

    def _draw(self, position_bytes: int, percent: int) -> None:
        now_s = time.monotonic()
        if now_s - self._drawn_s < REDRAW_S and position_bytes < self._total_bytes:
            return
        self._drawn_s = now_s
        rate = position_bytes / max(now_s - self._started_s, 0.001)
        left_s = (self._total_bytes - position_bytes) / rate if rate else 0
        done = BAR_CHARS * percent // 100
        bar = "#" * done + "." * (BAR_CHARS - done)
        self._stream.write(
            f"\r{self._name} [{bar}] {percent:3} %  {format_bytes(rate)}/s  {left_s:.0f} s left \x1b[K"
        )
        self._stream.flush()
        self._open_line = True
