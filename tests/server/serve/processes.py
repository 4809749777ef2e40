"""What the tests of processes share: waiting for a fact, and finding processes by a mark in their arguments.

A test's processes carry its temporary folder in their arguments, so that tests running side by side never see
each other's.
"""

import time
from collections.abc import Callable
from pathlib import Path

import psutil

PATIENCE_S = 90.0


def wait_until(fact: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Returns as soon as `fact` is true; fails the test when it never becomes so."""
    deadline_s = time.monotonic() + patience_s
    while not fact():
        assert time.monotonic() < deadline_s, f"waited {patience_s:.0f} s in vain: {what}"
        time.sleep(0.02)


def processes_of(mark: Path) -> list[psutil.Process]:
    """Living processes (zombies are dead) with `mark` in their arguments or as their working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = any(str(mark) in word for word in process.cmdline()) or process.cwd() == str(mark)
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def end_all(mark: Path) -> None:
    """Ends what a failed test left behind."""
    for process in processes_of(mark):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
