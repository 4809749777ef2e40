"""One thread that sends files to all peers that take them slowly.

gunicorn keeps a thread busy until the peer has taken the last byte: with as many slow downloads as there are
threads, nothing else is answered. Here a thread sends what the peer takes at once; what is left goes to the
sender, which asks the kernel who can take more and lets it copy (``sendfile``). A peer that takes nothing for
``STALL_S`` seconds is given up, as nginx does.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

logger = logging.getLogger(__name__)

STALL_S = 60.0
LOOK_S = 5.0


class Outgoing(Protocol):
    """Something that is still to be sent."""

    def fileno(self) -> int:
        """The connection's descriptor."""

    def send_more(self) -> bool:
        """Send what can be sent without waiting; true when nothing is left.

        Raises:
            OSError: it cannot be sent.
        """


@dataclass(eq=False, slots=True)
class _Job:
    outgoing: Outgoing
    done: Callable[[bool], None]
    moved_s: float


class Sender(threading.Thread):
    """The thread; ``send`` may be called by any other."""

    def __init__(self, *, stall_s: float = STALL_S, look_s: float = LOOK_S) -> None:
        super().__init__(name="sender", daemon=True)
        self._stall_s = stall_s
        self._look_s = look_s
        self._new: deque[_Job] = deque()
        self._selector = selectors.DefaultSelector()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._over = False

    def send(self, outgoing: Outgoing, done: Callable[[bool], None]) -> None:
        """Send all of *outgoing*, then call *done* in this thread: true when everything went out."""
        self._new.append(_Job(outgoing, done, time.monotonic()))
        os.eventfd_write(self._bell, 1)

    def stop(self) -> None:
        """End the thread; what is not sent by now stays unsent."""
        self._over = True
        os.eventfd_write(self._bell, 1)
        self.join()
        self._selector.close()
        os.close(self._bell)

    def run(self) -> None:
        """Send until ``stop`` is called."""
        next_look_s = time.monotonic() + self._look_s
        while not self._over:
            for key, _ in self._selector.select(self._look_s):
                if key.data is None:
                    self._begin()
                else:
                    self._go_on(key.data)
            if time.monotonic() >= next_look_s:
                self._give_up_stalled()
                next_look_s = time.monotonic() + self._look_s

    def _begin(self) -> None:
        os.eventfd_read(self._bell)
        while self._new:
            job = self._new.popleft()
            self._selector.register(job.outgoing.fileno(), selectors.EVENT_WRITE, job)

    def _go_on(self, job: _Job) -> None:
        try:
            is_all = job.outgoing.send_more()
        except OSError:
            self._end(job, was_sent=False)  # the peer went away
            return
        job.moved_s = time.monotonic()
        if is_all:
            self._end(job, was_sent=True)

    def _give_up_stalled(self) -> None:
        oldest_s = time.monotonic() - self._stall_s
        jobs = [key.data for key in self._selector.get_map().values() if key.data is not None]
        for job in jobs:
            if job.moved_s < oldest_s:
                logger.info("download given up", extra={"stalled_s": round(self._stall_s)})
                self._end(job, was_sent=False)

    def _end(self, job: _Job, *, was_sent: bool) -> None:
        self._selector.unregister(job.outgoing.fileno())
        job.done(was_sent)
