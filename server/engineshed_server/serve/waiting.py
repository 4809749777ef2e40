"""Connections nobody works on while their peer takes its time, watched by the worker's one selector.

Each may stay for the same time, so the one that came first is the first whose time is over.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, takewhile
from typing import Protocol

from engineshed_server.api.connections import Connection


class Peer(Protocol):
    """What gunicorn keeps of a connection."""

    sock: Connection


class Waiting:
    """Those that wait for the same thing. For the one thread that owns the *poller*.

    Args:
        poller: calls the data of what is readable with its file, as gunicorn's loop does.
        go_on: called with a peer that has sent something; ends its waiting by ``end``, or lets it wait on.
    """

    def __init__(self, poller: selectors.BaseSelector, go_on: Callable[[Peer], None]) -> None:
        self._poller = poller
        self._go_on = go_on
        self._since_s: dict[Peer, float] = {}  # in the order in which they came

    def __len__(self) -> int:
        return len(self._since_s)

    def begin(self, peer: Peer, *, now_s: float) -> None:
        """Let *peer* wait; one that waits already keeps its time. *now_s* is of the monotonic clock."""
        if peer not in self._since_s:
            self._since_s[peer] = now_s
            self._poller.register(peer.sock, selectors.EVENT_READ, partial(self._readable, peer))

    def end(self, peer: Peer) -> None:
        """Let *peer* wait no longer; it need not have waited."""
        if self._since_s.pop(peer, None) is not None:
            self._poller.unregister(peer.sock)

    def take_late(self, *, begun_before_s: float) -> list[Peer]:
        """End the waiting of all that began before that time, and give them out."""
        late = list(takewhile(lambda one: self._since_s[one] < begun_before_s, self._since_s))
        for peer in late:
            self.end(peer)
        return late

    def _readable(self, peer: Peer, _file: object) -> None:
        if peer in self._since_s:  # else another event of the same round has ended it
            self._go_on(peer)


class Kept:
    """Connections kept for a next request, the one kept longest first.

    In the place of the ``deque`` that gunicorn has for them: it searches that from its beginning for each
    request that comes by one of them.
    """

    def __init__(self) -> None:
        self._peers: dict[Peer, None] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers)

    def __getitem__(self, number: int) -> Peer:
        return next(islice(self._peers, number, None))

    def append(self, peer: Peer) -> None:
        """Keep *peer*, as the newest."""
        self._peers[peer] = None

    def remove(self, peer: Peer) -> None:
        """Keep *peer* no longer."""
        del self._peers[peer]

    def popleft(self) -> Peer:
        """Keep the oldest no longer; gives it."""
        peer = self[0]
        del self._peers[peer]
        return peer
