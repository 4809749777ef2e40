"""What has come of one request before a thread looks at it: its head, and its body when that is small.

A portal has few threads, and a peer may take its time. So the bytes are gathered by whoever watches all
connections at once, and a thread gets a request only when reading it needs no waiting. A body that is large,
or whose length is not told, is read by the thread: the routes ask for a token before they do so.

Nothing is decided here about a request but whether it is worth a thread: what is malformed is found by the
parser, in the same bytes.
"""

from __future__ import annotations

import re

from engineshed_packages.protocol import MAX_POLL_BYTES

MAX_BODY_BYTES = MAX_POLL_BYTES  # polls, enrolments, requests for tokens
MAX_BYTES = MAX_BODY_BYTES + 64 * 1024  # the parser takes heads of half of that
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)


class Gathered:
    """Bytes of one connection, first in, first out."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._looked_at = 0
        self._needed: int | None = None
        self._expects = False

    def __len__(self) -> int:
        return len(self._data)

    @property
    def has_head(self) -> bool:
        """Whether the head is here to its end."""
        return self._needed is not None

    def only(self) -> bytes:
        """The request, when it is here and nothing else is; else nothing."""
        return bytes(self._data) if len(self._data) == self._needed else b""

    def add(self, data: bytes) -> None:
        """More has come."""
        self._data += data

    def give_back(self, data: bytes) -> None:
        """*data* was taken, and belongs to the next request."""
        self._data[:0] = data

    def take(self, count: int) -> bytes:
        """The first bytes, at most *count*."""
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def begin(self) -> None:
        """What is here and comes now is another request."""
        self._looked_at, self._needed, self._expects = 0, None, False

    def is_enough(self) -> bool:
        """Whether a thread can take the request, or will refuse it for its size."""
        if self._needed is None:
            self._find_end()
        return len(self._data) >= (MAX_BYTES if self._needed is None else self._needed)

    def expects_word(self) -> bool:
        """Whether the peer waits for "100 Continue" before it sends the body; true once."""
        expects, self._expects = self._expects, False
        return expects

    def _find_end(self) -> None:
        end = self._data.find(_END, max(0, self._looked_at - len(_END)))
        if end < 0:
            self._looked_at = len(self._data)
            return
        head = bytes(self._data[: end + len(_END)])
        self._needed = len(head)
        length = _LENGTH.search(head)
        if length is not None and int(length[1]) <= MAX_BODY_BYTES:
            self._needed += int(length[1])
            self._expects = _EXPECTS.search(head) is not None and len(self._data) < self._needed
