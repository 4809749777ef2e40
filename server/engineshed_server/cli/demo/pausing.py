"""Waiting that a signal can end, at chosen points only.

An exception raised by a signal handler lands anywhere: in the middle of making a folder, or in a callback
of the interpreter that swallows it (seen: logging's hook after a fork). So Ctrl-C and SIGTERM are blocked
and asked for wherever the demo waits, and it waits nowhere else.
"""

from __future__ import annotations

import signal
import sys

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ended(Exception):
    """Somebody asked the demo to end."""


def block_endings() -> None:
    """From here on Ctrl-C and SIGTERM wait until ``pause`` asks for them; children get them unblocked."""
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)


def pause(seconds: float) -> None:
    """Wait *seconds*.

    Raises:
        Ended: a signal asked for it.
    """
    if sys.platform == "linux" and signal.sigtimedwait(ENDING_SIGNALS, seconds) is not None:
        raise Ended
