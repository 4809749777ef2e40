"""A job from its wish to its end: the states, how long a worker may be silent, and when to try again.

    waiting ──► running ──► done
       ▲           │  └───► failed       after the last try
       │           └──────► cancelled    whoever asked for it, the worker obeys
       └── it failed, or its worker died: later again

The row is the truth and the message is the bell: it carries only the id, may come late, twice, or never. A
worker claims the row and has a lease on it, which it keeps alive; when that runs out another one takes over.
"""

from __future__ import annotations

from datetime import timedelta

WAITING = "waiting"
RUNNING = "running"
DONE = "done"
FAILED = "failed"
CANCELLED = "cancelled"

STATES = (WAITING, RUNNING, DONE, FAILED, CANCELLED)
OPEN = (WAITING, RUNNING)

LEASE = timedelta(seconds=30)  # a worker that says nothing for so long is taken for dead
MAX_ATTEMPTS = 5
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)

MAX_LINES = 1000  # of one job; what is over is counted and not kept
MAX_LINE_CHARS = 500


def pause_after(attempt: int) -> timedelta:
    """How long a job rests after its *attempt*-th try failed, counted from 1: doubling, up to an hour."""
    doubled: int = 2 ** min(attempt - 1, 20)
    return min(FIRST_PAUSE * doubled, LONGEST_PAUSE)
