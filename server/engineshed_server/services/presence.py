"""Heartbeats: what engines say of themselves at each poll, buffered and written once a second.

A poll only puts its heartbeat here. Of several from one engine the newest stays, in memory and in the
database alike, in whatever order processes write; in memory beside it the newest of another boot, or two
hosts that poll as one engine in step with the writing would never be seen. What could not be written is
kept for the next time, unless the engine has said something newer by then; what a killed process had is
lost and comes again with the next poll. A heartbeat that the database refuses costs only itself.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain

from engineshed_packages.protocol import Poll
from engineshed_server.db import engines
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Database, Session
from engineshed_server.db.presence import write_presences
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import ServerError
from engineshed_server.services.racing import run_again_when_raced

MAX_PER_TRANSACTION = 500  # a writing transaction stays short: orders and reports wait for it on SQLite


logger = logging.getLogger(__name__)


class Presence:
    """The buffer of one process.

    Attributes:
        refused: heartbeats the database would not take since the start.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._waiting: dict[str, engines.Presence] = {}
        self._other_boots: dict[str, engines.Presence] = {}  # older than what waits, and of another boot
        self._lock = threading.Lock()

    def note(self, poll: Poll, *, now: datetime, address: str | None = None) -> None:
        """Take a heartbeat received at *now* from *address*; no SQL."""
        attributes = (
            None if poll.attributes is None else json.dumps(poll.attributes.to_dict(), sort_keys=True)
        )
        self._put(
            engines.Presence(
                engine_id=poll.engine,
                seen=now,
                version=None if poll.version is None else poll.version.text,
                measured_version=poll.measured_version,
                updater_version=poll.updater_version,
                updater_state=poll.state,
                attempt=poll.attempt,
                health=poll.health.value,
                seq=poll.seq,
                boot=poll.boot,
                skipped=json.dumps([item.to_dict() for item in poll.skipped]),
                attributes=attributes,
                capabilities=json.dumps(poll.capabilities) if poll.capabilities else None,
                address=address,
            )
        )

    def flush(self, database: Database) -> int:
        """Write what waits; returns how many heartbeats that were.

        Raises:
            TryLater: the database is away; nothing is lost but the time.
        """
        with self._lock:  # for a moment only: who answers polls waits for it
            others, self._other_boots = self._other_boots, {}
            noted, self._waiting = self._waiting, {}
        # The older boots first. In one order in every process: two that write the same engines do not block
        # each other; and a transaction writes an engine once.
        parts = [*_parts(others), *_parts(noted)]
        for number, part in enumerate(parts):
            try:
                self._write(database, part)
            except ServerError:
                for presence in chain(*parts[number:]):
                    self._put(presence)
                raise
        return sum(map(len, parts))

    def _write(self, database: Database, part: Sequence[engines.Presence]) -> None:
        try:
            run_again_when_raced(partial(_write, database, part))
        except ServerError:
            raise
        except Exception:
            # One row the database cannot hold: the others must not wait for it, nor be lost with it.
            self._write_one_by_one(database, part)

    def _write_one_by_one(self, database: Database, part: Sequence[engines.Presence]) -> None:
        for presence in part:
            try:
                run_again_when_raced(partial(_write, database, [presence]))
            except ServerError:
                raise
            except Exception as err:
                self.refused += 1
                logger.warning(
                    "heartbeat refused by the database",
                    exc_info=err,
                    extra={"engine": presence.engine_id, "refused": self.refused},
                )

    def _put(self, presence: engines.Presence) -> None:
        with self._lock:
            other = self._waiting.get(presence.engine_id)
            if other is None:
                self._waiting[presence.engine_id] = presence
                return
            newer, older = (presence, other) if presence.seen >= other.seen else (other, presence)
            if newer.boot == older.boot:
                # These come only when they changed: the newer word without them keeps the older ones. One
                # of another boot may be of another host, that polls as the same engine.
                newer = replace(
                    newer,
                    attributes=newer.attributes or older.attributes,
                    capabilities=newer.capabilities or older.capabilities,
                )
            else:
                kept = self._other_boots.setdefault(older.engine_id, older)
                if kept.seen < older.seen:
                    self._other_boots[older.engine_id] = older
            self._waiting[presence.engine_id] = newer


def _parts(presences: Mapping[str, engines.Presence]) -> list[Sequence[engines.Presence]]:
    """Those of one transaction each, by the engines' ids."""
    ordered = [presences[engine_id] for engine_id in sorted(presences)]
    return [
        ordered[start : start + MAX_PER_TRANSACTION] for start in range(0, len(ordered), MAX_PER_TRANSACTION)
    ]


def _write(database: Database, presences: Sequence[engines.Presence]) -> None:
    by_engine = {presence.engine_id: presence for presence in presences}
    with database.write() as session:
        for engine_id in write_presences(session, presences):
            _tell_two_hosts(session, by_engine[engine_id])


def _tell_two_hosts(session: Session, presence: engines.Presence) -> None:
    """One row in the audit, when this is seen of the engine for the first time."""
    if engines.note_two_hosts(session, presence.engine_id, now=presence.seen):
        add_audit(
            session,
            "engine-on-two-hosts",
            subject=presence.engine_id,
            actor=Actor(presence.engine_id, address=presence.address),
            now=presence.seen,
            details={"host_name": presence.host_name},
        )
