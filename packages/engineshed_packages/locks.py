"""One writer at a time, over processes: an operating-system lock on a file that is never unlinked.

The system releases it when the process ends, however it ends; a file that merely exists locks nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engineshed_packages.errors import Conflict

_TRY_EVERY_S = 0.05


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # PermissionError is how Windows says "locked"
        return False
    return True


@contextmanager
def exclusive(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the lock on *path* inside the block; wait at most *wait_s* for another to let go.

    Raises:
        Conflict: code ``locked``.
        OSError: *path* cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        ends = time.monotonic() + wait_s
        while not _try_lock(descriptor):
            if time.monotonic() >= ends:
                raise Conflict("locked", f"{path} is locked: another process is writing there; try again")
            time.sleep(_TRY_EVERY_S)
        yield
    finally:
        os.close(descriptor)
