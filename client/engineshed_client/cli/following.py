"""``log``: the lines of update.log, and with ``-f`` those that come, also over rotations.

Between two looks the file is not held open: on Windows it could not be rotated then.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from engineshed_client.cli.frame import Frame
from engineshed_client.errors import client_boundary
from engineshed_client.reports.update_log import numbered
from engineshed_packages import exits

FOLLOW_S = 0.3


def run_log(frame: Frame) -> int:
    """The lines of update.log; with --follow until interrupted."""
    path = frame.open_base().paths.update_log
    lines = Follower(path)
    with client_boundary():
        while True:
            for text in lines.new():
                sys.stdout.write(text)
            sys.stdout.flush()
            if not frame.arguments.follow:
                return exits.DONE
            time.sleep(FOLLOW_S)


class Follower:
    """What has come to a log since it was read last: whole lines only, a torn one is still to be dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._at = 0

    def new(self) -> Iterator[str]:
        """The new lines, as pieces of text; of a file that was rotated away first what was not read of it."""
        if self._inode is not None and _inode(self._path) != self._inode:
            rotated = numbered(self._path, 1)
            if _inode(rotated) == self._inode:
                yield from self._rest(rotated)
            self._inode, self._at = None, 0
        yield from self._rest(self._path)

    def _rest(self, path: Path) -> Iterator[str]:
        try:
            with path.open("rb") as file:
                self._inode = os.fstat(file.fileno()).st_ino
                file.seek(self._at)
                for line in file:
                    if line.endswith(b"\n"):
                        self._at += len(line)
                        yield line.decode("utf-8", "replace")
        except FileNotFoundError:
            return  # nothing was attempted yet


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
