"""One measured number, and the table of them that `make bench` prints."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

KB = 1000
MB = 1000 * KB
_UNITS = {
    "MB": (MB, 1),
    "s": (1, 1),
    "ms": (1e-3, 1),
    "us": (1e-6, 0),
    "B": (1, 0),
    "/s": (1, 0),
    "MB/s": (MB, 0),
    "x": (1, 2),
}


@dataclass(frozen=True)
class Figure:
    """A number in bytes, seconds, a second ("/s") or as a ratio ("x"), and what it must reach.

    `unit` is how people read it: a time is always a number of seconds, shown in "s", "ms" or "us".
    """

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def good(self) -> bool:
        enough = self.at_least is None or self.value >= self.at_least
        return enough and (self.at_most is None or self.value <= self.at_most)

    def line(self) -> str:
        limit = ""
        if self.at_most is not None:
            limit = f"<= {self._shown(self.at_most)}"
        if self.at_least is not None:
            limit = f">= {self._shown(self.at_least)}"
        return f"{self.name:<58}{self._shown(self.value):>12}{limit:>14}  {'ok' if self.good else 'MISSED'}"

    def _shown(self, number: float) -> str:
        size, digits = _UNITS[self.unit]
        return f"{number / size:.{digits}f} {self.unit}"


def print_figures(title: str, figures: Sequence[Figure]) -> None:
    print(f"{title:<58}{'measured':>12}{'limit':>14}")
    for figure in figures:
        print(figure.line())
    sys.stdout.flush()
