"""The folder with the files of all processes, in the format of prometheus_client's multiprocess mode.

    <pid>-<random>.db    what a process that lives has counted
    ended.db             what those have that ended
    lock                 held while the files are added up, or one is added to ``ended.db``

The folder counts since the web server's start: ``empty`` is for its first process alone.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from engineshed_packages.errors import Conflict
from engineshed_packages.locks import exclusive
from engineshed_server.domain.metrics import COUNTERS, Counter
from engineshed_server.errors import TryLater
from engineshed_server.storage.disk import disk_errors

Series = tuple[Counter, tuple[str, ...]]

# Allocated at once: in a mapped file that grows on a full disk, the write would kill the process (SIGBUS).
FILE_BYTES = 512 * 1024
MAX_SERIES = 1000  # of one process; with its names each takes less than 400 bytes of the file
LOCK_WAIT_S = 2.0  # adding up takes milliseconds
_ENDED = "ended.db"
_BY_NAME = {counter.name: counter for counter in COUNTERS}


def empty(folder: Path) -> None:
    """Make the folder, and forget what was counted before.

    Raises:
        TryLater: the disk refuses.
    """
    with disk_errors():
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.glob("*.db"):
            path.unlink(missing_ok=True)


class OwnFile:
    """The file of this process.

    The library writes the names. Their values are numbers in ``values``, each at its place: whoever counts
    stores them there himself, in less time than the library takes.

    Raises:
        OSError: there is no space for it, or no folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.db"
        _allocate(self.path)
        self._names = MmapedDict(str(self.path))
        with self.path.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), FILE_BYTES)
        self.values = memoryview(self._mapped).cast("d")

    def add(self, series: Series) -> int:
        """Write the name of *series* with the value 0; the place of the value."""
        name = key_of(series)
        self._names.write_value(name, 0.0, 0.0)
        found = MmapedDict.read_all_values_from_file(str(self.path))
        position: int = next(place for key, _, _, place in found if key == name)
        return position // self.values.itemsize

    def close(self) -> None:
        """Let go of it; what is in it stays."""
        self.values.release()
        self._mapped.close()
        self._names.close()


def _allocate(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, FILE_BYTES)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def key_of(series: Series) -> str:
    """The name of *series* in a file."""
    counter, labels = series
    return mmap_key(counter.name, counter.name, list(counter.labels), list(labels), "")


def add_up(folder: Path) -> tuple[dict[Series, int], frozenset[Path]]:
    """What all processes have counted, and the files of those that live.

    Raises:
        TryLater: codes ``metrics-busy``, ``storage-failed``.
    """
    totals: dict[Series, int] = {}
    with disk_errors(), _alone(folder):
        files = frozenset(folder.glob("*.db"))
        for path in files:
            for series, value in _read(path):
                totals[series] = totals.get(series, 0) + value
    return totals, files - {folder / _ENDED}


def take_in_ended(folder: Path, pid: int) -> None:
    """Add what process *pid*, which has ended, has counted to what those before it have.

    Raises:
        TryLater: as ``add_up``; its file stays, and counts all the same.
    """
    with disk_errors(), _alone(folder):
        for path in folder.glob(f"{pid}-*.db"):
            _add(folder / _ENDED, dict(_read(path)))
            path.unlink()


def _add(ended: Path, counted: Mapping[Series, int]) -> None:
    if not ended.exists():
        _allocate(ended)
    sums = MmapedDict(str(ended))
    try:
        for series, value in counted.items():
            key = key_of(series)
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()


def _read(path: Path) -> Iterator[tuple[Series, int]]:
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
        _, name, labels, _ = json.loads(key)
        counter = _BY_NAME[name]
        yield (counter, tuple(labels[label] for label in counter.labels)), int(value)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with exclusive(folder / "lock", wait_s=LOCK_WAIT_S):
            yield
    except Conflict as err:
        raise TryLater("metrics-busy", "the counts are being added up for somebody else: ask again") from err
