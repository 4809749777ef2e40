"""The connection a request comes by: how slowly it may send, and that it ends when a body was left unread.

gunicorn's threads read on as long as a peer sends: one byte a second would hold a thread for hours, and
a few dozen such peers all threads. The worker makes every connection one of these. What is awaited,
first the head of a request and then its body, must come within ``ALLOWANCE_S`` seconds and one second
more for each ``RATE_BYTES`` that have come: a byte a second gets 15 s, the slowest mobile line gets any
body through, and no peer may be silent for longer than ``STALL_S``.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ALLOWANCE_S = 15  # an honest body of any JSON route comes in well under a second
RATE_BYTES = 4096
STALL_S = 30
LINGER_S = 1.0
LINGER_BYTES = 64 * 1024


class _Pace:
    """How long one awaited thing may still take; times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._received = 0

    def count(self, received: int) -> None:
        self._received += received

    def patience_s(self) -> float:
        """How long the next byte may take; 0 when the time is over."""
        ends_s = self._started_s + ALLOWANCE_S + self._received / RATE_BYTES
        return max(0.0, min(STALL_S, ends_s - time.monotonic()))


class Connection(socket.socket):
    """An accepted connection, made of its file *descriptor*."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(fileno=descriptor)
        self._pace: _Pace | None = None
        self._awaits_head = False
        self._has_ended = False
        self._close_after: Callable[[], None] = _nothing

    def await_head(self) -> None:
        """A request's first lines are read next; a peer too slow with them is one that went away."""
        self._pace, self._awaits_head = _Pace(), True

    def begin_answer(self, *, close_after: Callable[[], None]) -> None:
        """The head has come; *close_after* makes the answer the last one of this connection."""
        self._pace, self._awaits_head = None, False
        if self.gettimeout() is not None:
            self.settimeout(None)  # a download may take as long as it likes
        self._close_after = close_after

    def close_after_answer(self) -> None:
        """Send no other answer by this connection, and say so in this one."""
        self._close_after()

    @contextmanager
    def awaiting_body(self) -> Iterator[None]:
        """Bound what is received in the block.

        Raises:
            TimeoutError: the peer is too slow.
        """
        self._pace, before = _Pace(), self.gettimeout()
        try:
            yield
        finally:
            self._pace = None
            if self.gettimeout() != before:
                self.settimeout(before)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive at most *bufsize* bytes within what the pace allows."""
        if self._has_ended:
            return b""
        if self._pace is None:
            return super().recv(bufsize, flags)
        data = self._take(bufsize, flags)
        if data is None:
            data = self._wait(bufsize, flags, pace=self._pace)
        self._pace.count(len(data))
        return data

    def _take(self, bufsize: int, flags: int) -> bytes | None:
        """What is here already, as it is most often: nothing is set, nothing is waited for."""
        if self.gettimeout() is not None:  # Python then waits, whatever the flags say
            return None
        try:
            return super().recv(bufsize, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def _wait(self, bufsize: int, flags: int, *, pace: _Pace) -> bytes:
        try:
            patience_s = pace.patience_s()
            if not patience_s:  # as a timeout, 0 would mean not to wait
                raise TimeoutError("the peer sends too slowly")
            self.settimeout(patience_s)
            return super().recv(bufsize, flags)
        except TimeoutError:
            if self._awaits_head:
                return b""
            raise

    def end(self) -> None:
        """Say that nothing more comes, and give the peer a moment to take the answer (RFC 9112, section 9.6).

        Nothing is received afterwards: who closes the connection does not wait for the peer.
        """
        self._pace = None
        ends_s, left = time.monotonic() + LINGER_S, LINGER_BYTES
        try:
            self.shutdown(socket.SHUT_WR)
            while left > 0 and (patience_s := ends_s - time.monotonic()) > 0:
                self.settimeout(patience_s)
                data = super().recv(left)
                if not data:
                    break
                left -= len(data)
        except OSError:
            pass  # the peer was faster, or takes no notice
        self._has_ended = True


def _nothing() -> None:
    return None
