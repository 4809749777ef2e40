"""``engineshed-client run``: cycles for ever, with patience, until told to stop.

Two locks: one for the life of this loop, so that a second one ends with "locked" at once; the updater's
own for each cycle, so that an administrator's command can work between two cycles. Told to stop, it ends
what it is at and then itself; a download is broken off, to be resumed. It may be killed at any instant.
"""

from __future__ import annotations

import logging
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType

from engineshed_client.agent.cycle import Cycle, Done, Event, Parts
from engineshed_client.agent.pace import poll_wait_s, trouble_wait_s
from engineshed_client.errors import (
    ClientError,
    DiskTrouble,
    EnrolmentRefused,
    Locked,
    NotApproved,
    PortalUnavailable,
    TryLater,
    client_boundary,
)
from engineshed_client.paths import Paths
from engineshed_packages.times import format_time

logger = logging.getLogger(__name__)

LOCKED_WAIT_S = 5.0
AGENT_LOCK = "agent.lock"


class Stop:
    """The wish to stop, from a signal or another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def wanted(self) -> bool:
        """True once somebody asked."""
        return self._event.is_set()

    def ask(self) -> None:
        """Ask the loop to stop."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until somebody asks."""
        self._event.wait(seconds)

    def check(self) -> None:
        """Break a download off when the updater is to stop; what arrived is kept.

        Raises:
            PortalUnavailable: code ``stopping``.
        """
        if self.wanted:
            raise PortalUnavailable("stopping", "the updater stops: the download goes on at its next start")

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Inside the block SIGTERM and SIGINT ask to stop."""

        def handle(number: int, frame: FrameType | None) -> None:
            self.ask()

        before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(parts: Parts, stop: Stop) -> bool:
    """Repeat cycles until *stop* is asked; true when the launcher has to choose once more.

    Raises:
        Locked: another loop serves this base.
    """
    paths, fs = parts.context.paths, parts.context.fs
    with client_boundary(), fs.lock(agent_lock(paths)):
        loop = Loop(parts)
        while not stop.wanted and not loop.is_over:
            stop.wait(loop.once())
        return loop.is_over


def agent_lock(paths: Paths) -> Path:
    """The lock a loop holds while it lives; never removed."""
    return paths.work / AGENT_LOCK


class Loop:
    """Counts trouble, and tells how long to wait.

    Attributes:
        is_over: another version of the updater is to go on, or this one, which is new, from the beginning.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._poll_s = parts.context.settings.poll_s  # until the portal has named its own
        self._cycle = Cycle(parts)
        self._troubles = 0
        self._bugs = 0
        self.is_over = False
        self._on_trial = parts.own is not None and parts.own.is_on_trial(parts.context)
        if parts.own is not None and not self._on_trial:
            parts.own.alarm_off()

    def once(self) -> float:
        """One cycle; the seconds to wait before the next."""
        context = self._parts.context
        try:
            with client_boundary(), context.fs.lock(context.paths.lock):
                done = self._cycle.run()
                self._came_up()
                self._on_trial = False
        except Locked:
            logger.info("a command works on this base")
            return LOCKED_WAIT_S
        except ClientError as err:
            return self._wait_out(err)
        except Exception:
            # The top of the loop: a bug must not leave the host without an updater.
            self._bugs += 1
            logger.exception("cycle failed unexpectedly", extra={"times": self._bugs})
            self.is_over = self._on_trial
            return self._trouble_wait_s(None)
        return self._wait_after(done)

    def _wait_after(self, done: Done) -> float:
        self._poll_s = done.poll_s or self._poll_s
        if done.event is Event.SWITCHED:
            self.is_over = True
            return 0.0
        if done.event is Event.UNFETCHED:
            wait_s = self._trouble_wait_s(None)
        else:
            self._troubles = 0
            # The portal is to see at once what it came to; what failed rests by itself (pace.Rests).
            ended = done.event in (Event.ENDED, Event.CARRIED_OUT, Event.ADOPTED)
            wait_s = 0.0 if ended else poll_wait_s(self._poll_s, random.random())
        told = {"event": done.event.name, "code": done.code, "next": self._after(wait_s)}
        logger.info("cycle ended", extra=told)
        return wait_s

    def _wait_out(self, err: ClientError) -> float:
        if isinstance(err, PortalUnavailable | EnrolmentRefused | NotApproved):
            # The updater itself works: that the portal does not is no reason to go back to an older one.
            self._came_up()
        elif not isinstance(err, TryLater | DiskTrouble):
            self.is_over = self._on_trial
        wait_s = self._trouble_wait_s(err.retry_after_s if isinstance(err, TryLater) else None)
        told = {"code": err.code, "reason": err.message, "next": self._after(wait_s)}
        logger.warning("cycle did not end", extra=told)
        return wait_s

    def _after(self, wait_s: float) -> str:
        """When the next cycle begins, by the host's clock."""
        return format_time(self._parts.context.now() + timedelta(seconds=wait_s))

    def _trouble_wait_s(self, retry_after_s: int | None) -> float:
        self._troubles += 1
        return trouble_wait_s(
            self._poll_s,
            self._troubles,
            retry_after_s=retry_after_s,
            chance=random.random(),
        )

    def _came_up(self) -> None:
        """This updater works; whether its portal does is another matter."""
        if self._parts.own is not None:
            self._parts.own.came_up(self._parts.context)
            self._parts.own.alarm_off()
