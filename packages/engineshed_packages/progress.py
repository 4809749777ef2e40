"""Shows how a transfer gets on: a bar where a person looks, a line each tenth elsewhere, events as JSON.

Everything goes to stderr, so that a command's data stays alone on stdout.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TextIO

_BAR_CHARS = 30
_REDRAW_S = 0.1
_TENTHS = 10
_MIB = 1024 * 1024

Show = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Shows nothing."""


def choose(stream: TextIO, *, as_json: bool, wanted: bool) -> Show:
    """What fits *stream*: nothing when it is not *wanted*."""
    if not wanted:
        return no_progress
    if as_json:
        return Tenths(lambda tenth, done, total: _write(stream, _event(tenth, done, total)))
    if stream.isatty():
        return Bar(stream, time.monotonic)
    return Tenths(lambda tenth, done, total: _write(stream, f"{tenth * 10} % of {_size(total)}\n"))


class Tenths:
    """Calls *show* with the tenth, when another tenth of the whole is there."""

    def __init__(self, show: Callable[[int, int, int], None]) -> None:
        self._show = show
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        tenth = _TENTHS if total <= 0 else done * _TENTHS // total
        if tenth != self._shown:
            self._shown = tenth
            self._show(tenth, done, total)


class Bar:
    """One line that is drawn again and again: how much, how fast, how long still."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._began: tuple[float, int] | None = None
        self._drawn = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if self._began is None:
            # A resumed transfer begins with what is there: its rate is that of the rest.
            self._began = (now, done)
        if done < total and now - self._drawn < _REDRAW_S:
            return
        self._drawn = now
        end = "\n" if done >= total else ""
        _write(self._stream, "\r" + bar_text(done, total, rate=self._rate(now, done)) + end)

    def _rate(self, now: float, done: int) -> float:
        assert self._began is not None  # set by the only caller
        began, first = self._began
        return (done - first) / max(now - began, 0.001)


def bar_text(done: int, total: int, *, rate: float) -> str:
    """The bar's line; *rate* is in bytes per second."""
    share = 1.0 if total <= 0 else min(done / total, 1.0)
    full = int(share * _BAR_CHARS)
    left = f"{_duration((total - done) / rate)} left" if rate > 0 and done < total else ""
    bar = "#" * full + "." * (_BAR_CHARS - full)
    return f"[{bar}] {share * 100:3.0f} % of {_size(total)}  {_size(int(rate))}/s  {left}".ljust(78)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _size(number: int) -> str:
    if number < 1024:
        return f"{number} bytes"
    return f"{number / _MIB:.1f} MiB" if number >= _MIB else f"{number / 1024:.1f} KiB"


def _event(tenth: int, done: int, total: int) -> str:
    event = {"event": "progress", "percent": tenth * 10, "done_bytes": done, "total_bytes": total}
    return json.dumps(event) + "\n"


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
