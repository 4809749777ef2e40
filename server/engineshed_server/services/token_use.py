"""When API tokens were last used: noted at each request, written at most once a minute for each token.

An admin wants to know which token nobody needs any more; a write for each request would be a high price for
that. What a killed process had noted is lost: the time is rough, and says so in the documents.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from engineshed_server.db import api_tokens
from engineshed_server.db.database import Database
from engineshed_server.errors import ServerError

WRITE_EVERY = timedelta(minutes=1)


class TokenUse:
    """The notes of one process."""

    def __init__(self) -> None:
        self._waiting: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def note(self, token_id: str, *, now: datetime) -> None:
        """The token is used at *now*; no SQL."""
        with self._lock:
            written = self._written.get(token_id)
            if written is None or now - written >= WRITE_EVERY:
                self._waiting[token_id] = now

    def flush(self, database: Database) -> int:
        """Write what waits; returns how many tokens that were.

        Raises:
            TryLater: the database is away; what waits is kept for the next time.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return 0
        try:
            with database.write() as session:
                api_tokens.write_uses(session, waiting)
        except ServerError:
            with self._lock:
                self._waiting = {**waiting, **self._waiting}
            raise
        with self._lock:
            self._written.update(waiting)
        return len(waiting)
