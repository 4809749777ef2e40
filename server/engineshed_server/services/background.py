"""The threads of a serving process: watching the generation, writing heartbeats, taking uploads in, and
forgetting.

They are apart because writing may wait for another writer, and a revocation must not wait with it; and
because a large bundle takes minutes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from engineshed_server.domain.metrics import FAILED_TURNS
from engineshed_server.errors import ServerError
from engineshed_server.services.approval import reject_forgotten
from engineshed_server.services.guesses import forget_failures
from engineshed_server.services.logins import forget_sessions
from engineshed_server.services.portal import Portal
from engineshed_server.services.uploads.ingesting import ingest_next
from engineshed_server.services.uploads.sweeping import sweep

WATCH_EVERY_S = 0.5  # two looks a second: a change is in force everywhere within one
FLUSH_EVERY_S = 1.0
LOOK_EVERY_S = 2.0  # for uploads that another process left; those of this one ring
SWEEP_EVERY_S = 600.0
FORGET_EVERY_S = 60.0
JOIN_S = 20.0  # longer than a writer waits for SQLite's lock

logger = logging.getLogger(__name__)


class Background:
    """Runs until ``stop``; failures are logged, counted and tried again at the next turn.

    Attributes:
        failures: turns that failed since the start.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._stopping = threading.Event()
        self.failures = 0
        self._swept_s = time.monotonic()
        self._threads = [
            self._thread("generation-watch", self._watch, wait=partial(self._stopping.wait, WATCH_EVERY_S)),
            self._thread("presence-flush", self._flush, wait=partial(self._stopping.wait, FLUSH_EVERY_S)),
            self._thread("upload-ingest", self._ingest, wait=self._await_upload),
            self._thread("forgetting", self._forget, wait=partial(self._stopping.wait, FORGET_EVERY_S)),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads and write the heartbeats that still wait; an ingest goes on for a while."""
        self._stopping.set()
        self._portal.arrivals.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        try:
            self._flush()
        except ServerError as err:
            logger.warning("heartbeats lost at the end", extra={"code": err.code})

    def _thread(self, name: str, turn: Callable[[], None], *, wait: Callable[[], bool]) -> threading.Thread:
        return threading.Thread(target=self._loop, args=(name, turn, wait), name=name, daemon=True)

    def _loop(self, name: str, turn: Callable[[], None], wait: Callable[[], bool]) -> None:
        while not wait():
            try:
                turn()
            except Exception as err:
                self.failures += 1
                self._portal.meters.count(FAILED_TURNS, name)
                logger.warning(
                    "background turn failed", exc_info=err, extra={"turn": name, "failures": self.failures}
                )

    def _watch(self) -> None:
        self._portal.snapshot.refresh()

    def _flush(self) -> None:
        self._portal.presence.flush(self._portal.database)
        self._portal.token_use.flush(self._portal.database)

    def _await_upload(self) -> bool:
        """Wait until an upload is complete, or for a while; true at the end."""
        self._portal.arrivals.wait(LOOK_EVERY_S)
        self._portal.arrivals.clear()
        return self._stopping.is_set()

    def _ingest(self) -> None:
        while not self._stopping.is_set() and ingest_next(self._portal, now=datetime.now(UTC)):
            pass
        if time.monotonic() - self._swept_s >= SWEEP_EVERY_S:
            self._swept_s = time.monotonic()
            sweep(self._portal, now=datetime.now(UTC))

    def _forget(self) -> None:
        now = datetime.now(UTC)
        reject_forgotten(self._portal, now=now)
        forget_failures(self._portal.database, now=now)
        forget_sessions(self._portal, now=now)
