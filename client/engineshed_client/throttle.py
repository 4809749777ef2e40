"""No faster than the administrator wants: downloads share their line with the customer's work."""

from __future__ import annotations

from collections.abc import Callable


class Throttle:
    """Waits after each piece so long that all pieces together come at *bytes_per_s* at most.

    Args:
        clock: monotonic seconds. sleep: waits that many seconds.
    """

    def __init__(
        self, bytes_per_s: float, *, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._due: float | None = None

    def passed(self, number: int) -> None:
        """*number* bytes have come; return when the next may."""
        now = self._clock()
        # What was late is not made up for: a line that stood still gives no right to a burst.
        begun = now if self._due is None else max(self._due, now - number / self._bytes_per_s)
        self._due = begun + number / self._bytes_per_s
        if self._due > now:
            self._sleep(self._due - now)


class Received:
    """Counts the bytes of one try by where it stands, and hands that on to *show*.

    Args:
        at: where the file ended before. A server that knows no ranges begins at 0 again.
    """

    def __init__(self, at: int, show: Callable[[int, int], None]) -> None:
        self.number = 0
        self._at = at
        self._show = show

    def __call__(self, position: int, total: int) -> None:
        self.number += position - self._at if position >= self._at else position
        self._at = position
        self._show(position, total)
