"""The connection a request comes by: a thread does not wait for a peer that takes its time.

gunicorn's threads read as long as a peer sends, and write as long as it reads: a few dozen peers that do
either slowly would hold all threads. The worker makes every connection one of these.

- A request is gathered before a thread gets it, see ``gathering``. That may take ``GATHER_S``.
- A larger body must come within ``ALLOWANCE_S`` seconds and one second more for each ``RATE_BYTES`` that
  have come: a byte a second gets 15 s, the slowest mobile line gets any body through, and no peer may be
  silent for longer than ``STALL_S``.
- Of a file the thread sends what the peer takes at once; ``serve.sender`` sends the rest.
- At the end the peer gets a moment to take the answer, while nobody waits for it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import BinaryIO, NamedTuple

from engineshed_server.api.gathering import MAX_BODY_BYTES, Gathered

ALLOWANCE_S = 15  # an honest body of any JSON route comes in well under a second
RATE_BYTES = 4096
STALL_S = 30
GATHER_S = ALLOWANCE_S + MAX_BODY_BYTES / RATE_BYTES
LINGER_S = 1.0
LINGER_BYTES = 64 * 1024
PIECE_BYTES = 16 * 1024
SEND_BYTES = 8 * 1024 * 1024  # at once to one peer, if its line is that fast
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Progress(Enum):
    """How far a request has come."""

    READY = "ready"  # a thread can work on it without waiting
    WAITS = "waits"  # more must come
    ENDED = "ended"  # the peer has gone, and asks nothing


class _Pace:
    """How long one awaited thing may still take; times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._received = 0

    def count(self, received: int) -> None:
        self._received += received

    def next_s(self) -> float:
        """How long the next byte may take, more than 0.

        Raises:
            TimeoutError: the time is over.
        """
        ends_s = self._started_s + ALLOWANCE_S + self._received / RATE_BYTES
        patience_s = min(STALL_S, ends_s - time.monotonic())
        if patience_s <= 0:  # as a timeout, 0 would mean not to wait
            raise TimeoutError("the peer sends too slowly")
        return patience_s


class _Rest(NamedTuple):
    """What of a file is still to be sent."""

    descriptor: int
    offset: int
    left_bytes: int


class Connection(socket.socket):
    """An accepted connection, made of its file *descriptor*."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(fileno=descriptor)
        self._gathered = Gathered()
        self._pace: _Pace | None = None
        self._awaits_head = False
        self._is_late = False
        self._left_to_drop = LINGER_BYTES
        self._rest: _Rest | None = None
        self._close_after: Callable[[], None] = _nothing
        self._take_read: Callable[[], bytes] = bytes

    # --- before a thread works on it -----------------------------------------------------------------------

    def begin_request(self) -> None:
        """What is here and comes now is a new request."""
        self._gathered.begin()

    def gather(self) -> Progress:
        """Take in what has come of the request, without waiting."""
        gathered = self._gathered
        while not gathered.is_enough():
            try:
                data = super().recv(PIECE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if gathered.expects_word():
                    self._say_continue()
                return Progress.WAITS
            except OSError:
                return Progress.ENDED
            if not data:
                return Progress.READY if gathered.has_head else Progress.ENDED
            gathered.add(data)
        return Progress.READY

    def _say_continue(self) -> None:
        # gunicorn says it once more when it begins: a client must bear that (RFC 9110, section 15.2).
        try:
            self.send(_CONTINUE, socket.MSG_DONTWAIT)
        except OSError:
            return  # will show when more is to be received

    def give_up(self) -> bool:
        """Wait no longer for a body; whether there is a request at all that can be answered."""
        self._is_late = True
        return self._gathered.has_head

    # --- without a thread ----------------------------------------------------------------------------------

    def whole_request(self) -> bytes:
        """The request that was gathered, when it is here to its end and nothing else is; else nothing."""
        return self._gathered.only()

    def answer_request(self, answer: bytes) -> None:
        """Answer the whole request that was gathered, without waiting.

        A peer that takes nothing of it now, or only a part, has left earlier answers unread: like one that is
        gone it has had its answer, and the connection ends.
        """
        sent = 0
        with suppress(OSError):
            sent = self.send(answer, socket.MSG_DONTWAIT)
        self._gathered.take(len(self._gathered))
        if sent < len(answer):
            with suppress(OSError):  # what is received next is the end, now at the latest
                self.shutdown(socket.SHUT_RDWR)

    # --- while a thread works on it ------------------------------------------------------------------------

    def await_head(self) -> None:
        """A request is read next; its head was gathered, and a parser that wants more gets nothing."""
        self._awaits_head = True

    def begin_answer(self, *, close_after: Callable[[], None], take_read: Callable[[], bytes]) -> None:
        """The head has come.

        Args:
            close_after: makes the answer the last one of this connection.
            take_read: gives what was read of the body together with the head.
        """
        self._pace, self._awaits_head = None, False
        if self.gettimeout() is not None:
            self.settimeout(None)
        self._close_after = close_after
        self._take_read = take_read

    def close_after_answer(self) -> None:
        """Send no other answer by this connection, and say so in this one."""
        self._close_after()

    @contextmanager
    def awaiting_body(self) -> Iterator[_Pace]:
        """Bound what is received in the block.

        Raises:
            TimeoutError: the peer is too slow.
        """
        pace, before = _Pace(), self.gettimeout()
        self._pace = pace
        try:
            yield pace
        finally:
            self._pace = None
            if self.gettimeout() != before:
                self.settimeout(before)

    def receive_body(self, length_bytes: int, *, piece_bytes: int) -> Iterator[memoryview]:
        """The body of a request that announced *length_bytes*, past the server's own buffers.

        Each piece is good until the next is asked for. Fewer bytes come when the peer ends early. The answer
        is the last one of this connection: the server no longer knows where the next request begins.

        Raises:
            TimeoutError: the peer is too slow.
        """
        if self._is_late:
            raise TimeoutError("the peer sends too slowly")
        self.close_after_answer()
        early = (self._take_read() + self._gathered.take(len(self._gathered)))[:length_bytes]
        if early:
            yield memoryview(early)
        left = length_bytes - len(early)
        buffer = memoryview(bytearray(min(left, piece_bytes)))
        with self.awaiting_body() as pace:
            while left:
                filled, wanted = 0, min(left, piece_bytes)
                while filled < wanted:
                    self.settimeout(pace.next_s())
                    count = super().recv_into(buffer[filled:wanted])
                    if not count:
                        break
                    pace.count(count)
                    filled += count
                if not filled:
                    return
                left -= filled
                yield buffer[:filled]

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive at most *bufsize* bytes within what the pace allows."""
        if self._gathered:
            return self._gathered.take(bufsize)
        if self._awaits_head:
            return b""
        if self._is_late:
            raise TimeoutError("the peer sends too slowly")
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
        self.settimeout(pace.next_s())
        return super().recv(bufsize, flags)

    # --- a file as the answer ------------------------------------------------------------------------------

    # gunicorn sends nothing but files with a descriptor.
    def sendfile(  # type: ignore[override]
        self, file: BinaryIO, offset: int = 0, count: int | None = None
    ) -> int:
        """Send *count* bytes of *file* as far as the peer takes them now; the rest is left to ``send_more``.

        Returns *count*, as if all were sent: who called has nothing more to do.
        """
        if count is None:
            return super().sendfile(file, offset)
        self.settimeout(0)
        self._rest = _Rest(os.dup(file.fileno()), offset, count)  # the caller closes its own
        self.send_more()
        return count

    @property
    def has_more_to_send(self) -> bool:
        """Whether a part of a file is left to ``send_more``."""
        return self._rest is not None

    def send_more(self) -> bool:
        """Send what the peer takes now of what is left; true when nothing is left any more.

        Raises:
            OSError: the peer has gone, or the file has become shorter. Nothing is left then either.
        """
        if self._rest is None:
            return True
        descriptor, offset, left_bytes = self._rest
        try:
            sent = os.sendfile(self.fileno(), descriptor, offset, min(left_bytes, SEND_BYTES))
        except BlockingIOError:
            return False
        except OSError:
            self.send_no_more()
            raise
        if sent == 0:
            self.send_no_more()
            raise OSError("the file is shorter than it was")
        if sent == left_bytes:
            self.send_no_more()
            return True
        self._rest = _Rest(descriptor, offset + sent, left_bytes - sent)
        return False

    def send_no_more(self) -> None:
        """Forget what is left to be sent."""
        if self._rest is not None:
            os.close(self._rest.descriptor)
            self._rest = None

    # --- afterwards ----------------------------------------------------------------------------------------

    def give_back(self, data: bytes) -> bool:
        """*data* was received, but is of the next request; whether something of that one is here now."""
        self._gathered.give_back(data)
        return len(self._gathered) > 0

    def say_end(self) -> None:
        """Say that nothing more comes."""
        self.send_no_more()
        try:
            self.shutdown(socket.SHUT_WR)
        except OSError:
            self._left_to_drop = 0  # the peer was faster

    def has_left(self) -> bool:
        """Drop what still comes, without waiting; whether the peer has ended as well, or sends without end.

        Until then the connection stays: closed with bytes unread, it would take the answer away from the peer
        (RFC 9112, section 9.6).
        """
        try:
            while self._left_to_drop > 0:
                data = super().recv(PIECE_BYTES, socket.MSG_DONTWAIT)
                if not data:
                    return True
                self._left_to_drop -= len(data)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


def _nothing() -> None:
    return None
