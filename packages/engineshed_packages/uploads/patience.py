"""After a failure: how long to wait before the next try, and when there is no next one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from engineshed_packages.errors import Unavailable
from engineshed_packages.transport import HttpRefused

FIRST_WAIT_S = 1.0
MOST_WAIT_S = 30.0
GIVE_UP_S = 600.0
JITTER = 0.25  # of the wait, so that many that failed together do not come back together


class Patience:
    """The waits of one upload. Each byte that gets through makes it whole again.

    Before anything got through there is none: a wrong address or a portal that is down is told at once.

    Args:
        give_up_s: the longest time without any progress.
        tell: told about each wait, in a sentence for people.
        sleep, clock: of the tests.
    """

    def __init__(
        self,
        give_up_s: float = GIVE_UP_S,
        *,
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._give_up_s = give_up_s
        self._tell = tell
        self._sleep = sleep
        self._clock = clock
        self._progress_s: float | None = None
        self._failures = 0

    def allow(self) -> None:
        """The portal is there and lets this upload begin: from now on failures are borne."""
        if self._progress_s is None:
            self.progress()

    def progress(self) -> None:
        """Something got through."""
        self._progress_s = self._clock()
        self._failures = 0

    def after(self, err: Unavailable | HttpRefused) -> None:
        """Wait before the next try.

        Raises:
            Unavailable, HttpRefused: *err* itself: there is no next try.
        """
        if self._progress_s is None:
            raise err
        wait_s = min(MOST_WAIT_S, FIRST_WAIT_S * 2**self._failures) * (1 + JITTER * random.random())
        asked_s = err.retry_after_s if isinstance(err, Unavailable) else None
        wait_s = max(wait_s, asked_s or 0)
        if self._clock() + wait_s > self._progress_s + self._give_up_s:
            raise err
        self._failures += 1
        self._tell(f"{err.message}; trying again in {wait_s:.0f} s")
        self._sleep(wait_s)

    def pause(self, seconds: float) -> None:
        """Wait for something that takes its time; no failure."""
        self._sleep(seconds)
