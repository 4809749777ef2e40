"""A lock between processes that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engineshed_server.errors import TryLater

_RETRY_S = 0.05


@contextmanager
def locked(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the lock of the file at *path*, which is made and never removed.

    Removing it would let two processes hold "the" lock on two files of one name.

    Raises:
        TryLater: code ``ingest-busy``, somebody else still held it after *wait_s*.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait_for(descriptor, wait_s=wait_s)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, *, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as err:
            if time.monotonic() >= deadline:
                raise TryLater(
                    "ingest-busy",
                    "another bundle is being ingested; nothing was changed, try again",
                    retry_after_s=10,
                ) from err
            time.sleep(_RETRY_S)
