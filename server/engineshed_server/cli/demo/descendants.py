"""Everything that runs below this process, children of children included: adopted, found, ended.

Linux: a subreaper is given the orphans below it, so that a process that detached itself from its parent
is still found by walking ``/proc``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
GENTLY_S = 10.0
LOOK_S = 0.05


def adopt_orphans() -> None:
    """Make this process the parent of every orphan below it.

    Raises:
        OSError: the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def end_descendants() -> None:
    """Ask all that runs below this process to end; after ten seconds end it by force."""
    if sys.platform == "win32":
        return
    _signal_all(signal.SIGTERM)
    deadline_s = time.monotonic() + GENTLY_S
    while _living():
        if time.monotonic() > deadline_s:
            _signal_all(signal.SIGKILL)
        time.sleep(LOOK_S)


def _signal_all(number: signal.Signals) -> None:
    for pid in _living():
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _living() -> set[int]:
    """Process ids below this one; those that have ended are reaped first."""
    _reap()
    parents = _parents()
    found: set[int] = set()
    layer = {os.getpid()}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer} - found
        found |= layer
    return found


def _reap() -> None:
    if sys.platform == "win32":
        return
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _parents() -> dict[int, int]:
    """Parent of each process, from ``/proc/<pid>/stat`` (proc(5)); zombies are left out."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # the name in brackets may hold anything, also brackets: the fields begin behind the last one
            state, parent = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue  # it ended in this moment
        if state != "Z":
            parents[int(folder.name)] = int(parent)
    return parents
