"""The two threads of a serving process: one watches the generation, one writes heartbeats.

They are apart because writing may wait for another writer, and a revocation must not wait with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from engineshed_server.errors import ServerError
from engineshed_server.services.portal import Portal

WATCH_EVERY_S = 0.5  # two looks a second: a change is in force everywhere within one
FLUSH_EVERY_S = 1.0
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
        self._threads = [
            self._thread("generation-watch", self._watch, every_s=WATCH_EVERY_S),
            self._thread("presence-flush", self._flush, every_s=FLUSH_EVERY_S),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads and write the heartbeats that still wait."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        try:
            self._flush()
        except ServerError as err:
            logger.warning("heartbeats lost at the end", extra={"code": err.code})

    def _thread(self, name: str, turn: Callable[[], None], *, every_s: float) -> threading.Thread:
        return threading.Thread(target=self._loop, args=(name, turn, every_s), name=name, daemon=True)

    def _loop(self, name: str, turn: Callable[[], None], every_s: float) -> None:
        while not self._stopping.wait(every_s):
            try:
                turn()
            except Exception as err:
                self.failures += 1
                logger.warning(
                    "background turn failed", exc_info=err, extra={"turn": name, "failures": self.failures}
                )

    def _watch(self) -> None:
        self._portal.snapshot.refresh()

    def _flush(self) -> None:
        self._portal.presence.flush(self._portal.database)
        self._portal.token_use.flush(self._portal.database)
