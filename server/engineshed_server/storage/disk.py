"""A disk that is full, read-only or failing is no bug of ours: the caller hears so and may try again."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from engineshed_server.errors import TryLater

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn any OSError into ``TryLater``: code ``disk-full`` (or quota), else ``storage-failed``."""
    try:
        yield
    except OSError as err:
        what = err.filename or "the data folder"
        if err.errno in NO_SPACE:
            message = f"no space left for {what}: nothing was published; make room and try again"
            raise TryLater("disk-full", message, retry_after_s=60) from err
        message = f"{what}: {err.strerror or err}: nothing was published; repair it and try again"
        raise TryLater("storage-failed", message, retry_after_s=60) from err
