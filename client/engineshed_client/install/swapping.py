"""The new engine takes the old one's place, and back.

On Linux the two folders exchange their names in one step, so that ``engine/`` is never absent. Where the
file system cannot do that, and elsewhere, two renames do it; each waits for locks (a virus scanner, an
open Explorer window), and when the second one fails the first one is undone at once.

Every function here finds out by looking what is left to do, and may be run again after any interruption.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path

from engineshed_client.fsops import ExchangeUnsupported, FsOps, find_stat
from engineshed_client.install.files import remove_tree

logger = logging.getLogger(__name__)

LOCK_TRIES = 60  # one a second: as long as a scanner takes for a big file
_LOCKED = frozenset({errno.EACCES, errno.EPERM, errno.EBUSY})

Sleep = Callable[[float], None]


def swap_in(fs: FsOps, staged: Path, engine: Path, *, previous: Path | None, sleep: Sleep) -> None:
    """Put *staged* into *engine*'s place and the engine that was there into *previous*.

    Args:
        previous: a free name; None when there is no engine yet.

    Raises:
        OSError: the engine that was there is in its place.
    """
    if previous is None:
        rename_patiently(fs, staged, engine, sleep=sleep)
        return
    try:
        fs.exchange(staged, engine)
    except ExchangeUnsupported as err:
        logger.info("no exchange of folders here, two renames instead", extra={"reason": str(err)})
        _rename_both(fs, staged, engine, away=previous, sleep=sleep)
        return
    rename_patiently(fs, staged, previous, sleep=sleep)


def swap_back(fs: FsOps, engine: Path, old: Path, *, failed: Path, sleep: Sleep) -> None:
    """Put the engine in *old* into its place again and the one that failed, if any, into *failed*.

    Raises:
        OSError: what is left to do can be told by looking.
    """
    if find_stat(engine) is None:
        rename_patiently(fs, old, engine, sleep=sleep)
        return
    remove_tree(fs, failed)
    try:
        fs.exchange(engine, old)
    except ExchangeUnsupported as err:
        logger.info("no exchange of folders here, two renames instead", extra={"reason": str(err)})
        _rename_both(fs, old, engine, away=failed, sleep=sleep)
        return
    rename_patiently(fs, old, failed, sleep=sleep)


def set_failed_aside(fs: FsOps, folder: Path, failed: Path, *, sleep: Sleep) -> None:
    """Keep the engine in *folder*, which failed, for diagnosis: one, the last."""
    remove_tree(fs, failed)
    rename_patiently(fs, folder, failed, sleep=sleep)


def _rename_both(fs: FsOps, coming: Path, engine: Path, *, away: Path, sleep: Sleep) -> None:
    rename_patiently(fs, engine, away, sleep=sleep)
    try:
        rename_patiently(fs, coming, engine, sleep=sleep)
    except OSError:
        rename_patiently(fs, away, engine, sleep=sleep)
        raise


def rename_patiently(fs: FsOps, source: Path, destination: Path, *, sleep: Sleep) -> None:
    """Rename a folder, waiting while something holds it open.

    Raises:
        OSError: not done, or still locked after ``LOCK_TRIES`` seconds.
    """
    for left in range(LOCK_TRIES, -1, -1):
        try:
            fs.rename(source, destination)
            return
        except OSError as err:
            if err.errno not in _LOCKED or left == 0:
                raise
            logger.info("folder locked, waiting", extra={"folder": str(source), "left_s": left})
        sleep(1.0)
