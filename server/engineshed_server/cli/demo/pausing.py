"""Waiting that a signal can end, at chosen points only.

An exception raised by a signal handler lands anywhere: in the middle of making a folder, or in a callback
of the interpreter that swallows it (seen: logging's hook after a fork). So Ctrl-C, SIGTERM and SIGHUP are
blocked and asked for wherever the demo waits, and it waits nowhere else.
"""

from __future__ import annotations

import signal
import sys


def _endings() -> set[signal.Signals]:
    """The signals that end the demo; a closed terminal sends SIGHUP, unless `nohup` had it ignored."""
    found = {signal.SIGINT, signal.SIGTERM}
    if sys.platform == "linux" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        found.add(signal.SIGHUP)
    return found


class Ended(Exception):
    """Somebody asked the demo to end."""


def block_endings() -> None:
    """From here on these signals wait until ``pause`` asks for them; children get them unblocked."""
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, _endings())


def pause(seconds: float) -> None:
    """Wait *seconds*.

    Raises:
        Ended: a signal asked for it.
    """
    if sys.platform == "linux" and signal.sigtimedwait(_endings(), seconds) is not None:
        raise Ended
