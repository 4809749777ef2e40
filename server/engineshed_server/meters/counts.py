"""Counting in one process: whole numbers in its memory, written through to its file where it has one.

A poll is answered in some fifty microseconds: the fast lane keeps its ``cell``, and counts in about one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from engineshed_server.domain.metrics import WORKERS, Counter, Reading
from engineshed_server.meters import shared
from engineshed_server.meters.exposition import write_metrics
from engineshed_server.meters.shared import MAX_SERIES, OwnFile, Series

logger = logging.getLogger(__name__)

OTHER = "other"


class CountCell:
    """One series of this process; *values* is its file, and *place* where it stands there."""

    __slots__ = ("_lock", "_place", "_values", "value")

    def __init__(self, lock: threading.Lock, values: memoryview[float] | None, place: int) -> None:
        self.value = 0
        self._lock = lock
        self._values = values
        self._place = place

    def add(self, by: int = 1) -> None:
        """Count."""
        with self._lock:
            self.value += by
            if self._values is not None:
                self._values[self._place] = self.value

    def let_go(self) -> None:
        """Write to the file no more; the lock is held."""
        self._values = None


class Counts:
    """The ``Meters`` of a process that is alone: a command, or a test. *file*: of one that is not."""

    def __init__(self, file: OwnFile | None = None) -> None:
        self._cells: dict[Series, CountCell] = {}
        self._lock = threading.Lock()
        self._file = file

    def count(self, counter: Counter, /, *labels: str, by: int = 1) -> None:
        """Add *by* to *counter* for *labels*."""
        self.cell(counter, *labels).add(by)

    def cell(self, counter: Counter, /, *labels: str) -> CountCell:
        """Where *counter* is counted for *labels*."""
        found = self._cells.get((counter, labels))
        if found is not None:
            return found
        with self._lock:
            return self._new_cell((counter, labels))

    def expose(self, readings: Sequence[Reading]) -> bytes:
        """What this process has counted, and *readings*."""
        return write_metrics(self._own(), (*readings, Reading(WORKERS, (), 1)))

    def close(self) -> None:
        """Let go of the file, if there is one."""
        with self._lock:
            for cell in self._cells.values():
                cell.let_go()
            if self._file is not None:
                self._file.close()
                self._file = None

    def _own(self) -> dict[Series, int]:
        with self._lock:
            return {series: cell.value for series, cell in self._cells.items()}

    def _new_cell(self, series: Series) -> CountCell:
        counter, labels = series
        if series not in self._cells and len(self._cells) >= MAX_SERIES:
            series = (counter, (OTHER,) * len(labels))
        if series not in self._cells:
            file = self._file
            place = 0 if file is None else file.add(series)
            self._cells[series] = CountCell(self._lock, None if file is None else file.values, place)
        return self._cells[series]


class SharedCounts(Counts):
    """The ``Meters`` of a worker, which speaks for all of them: *folder* is theirs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        try:
            file = OwnFile(folder)
        except OSError as err:
            # It serves all the same, and tells its own counts when it is the one that is asked.
            logger.warning("counts not shared", extra={"folder": str(folder), "reason": err.strerror})
            super().__init__()
        else:
            self._path = file.path
            super().__init__(file)

    def expose(self, readings: Sequence[Reading]) -> bytes:
        """What all processes have counted, and *readings*."""
        totals, living = shared.add_up(self._folder)
        workers = len(living)
        if self._path not in living:
            workers += 1
            for series, value in self._own().items():
                totals[series] = totals.get(series, 0) + value
        return write_metrics(totals, (*readings, Reading(WORKERS, (), workers)))
