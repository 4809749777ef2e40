"""One job from its claim to its end, in a worker; and its lease, kept alive by a thread beside it.

Whatever ends the function ends the job: a return is ``done``; an error lets it rest and be tried again, at
last ``failed``; a wish to end is ``cancelled``. A worker that dies says nothing: its lease runs out, and
another claims the job. One that only seemed dead finds out by the guard on ``attempt``; what it says then is
not written.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.jsontext import Json
from engineshed_server.db import jobs
from engineshed_server.db.jobs import JobLine, JobRecord
from engineshed_server.domain.jobs import (
    CANCELLED,
    DONE,
    FAILED,
    LEASE,
    MAX_LINE_CHARS,
    MAX_LINES,
    pause_after,
)
from engineshed_server.errors import ServerError, TryLater
from engineshed_server.services.jobs.kinds import Ended, JobKind, Kinds
from engineshed_server.services.portal import Portal

KEEP_EVERY_S = LEASE.total_seconds() / 6
MAX_ERROR_CHARS = 1000
JOIN_S = 20.0

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Who runs jobs: a name for people, the node it is on, and the errors by which its limits show."""

    name: str
    node: str
    overdue: tuple[type[Exception], ...] = ()


def run_job(portal: Portal, job_id: str, *, kinds: Kinds, worker: Worker, clock: Clock) -> str | None:
    """Carry out a job that was rung for; returns how it ended, None when it was not to be had.

    ``waiting`` is returned of one that failed and is tried again later.

    Raises:
        TryLater: the database is away; the job is tried again when its lease has run out.
    """
    now = clock()
    with portal.database.write() as session:
        record = jobs.claim_job(
            session, job_id, worker=worker.name, node=worker.node, now=now, lease_until=now + LEASE
        )
    if record is None:
        return None
    logger.info("job begun", extra={"job": job_id, "kind": record.kind, "attempt": record.attempt})
    run = _Run(portal, record, clock)
    kind = kinds.get(record.kind)
    error: tuple[str, str] | None = None
    try:
        with run.kept():
            if record.cancel_asked is not None:
                raise Ended
            if kind is None:
                raise ServerError("job-kind-unknown", f"no worker here knows the job {record.kind!r}")
            if record.attempt > kind.max_attempts:
                raise ServerError("job-given-up", f"its worker died {kind.max_attempts} times: see the log")
            kind.work(portal, run)
    except Ended:
        return _end_early(portal, run, now=clock())
    except worker.overdue as err:
        limit_s = None if kind is None else kind.soft_limit_s
        error = "job-too-long", f"it was not ready after {limit_s} s ({type(err).__name__})"
    except ServerError as err:
        error = err.code, err.message[:MAX_ERROR_CHARS]
    except Exception as err:
        logger.error("job crashed", exc_info=err, extra={"job": job_id, "kind": record.kind})
        error = "job-crashed", f"{type(err).__name__}: {err}"[:MAX_ERROR_CHARS]
    return _end(portal, run, kind, error=error, now=clock())


def _end_early(portal: Portal, run: _Run, *, now: datetime) -> str | None:
    """Of a job that was to end: cancelled, unless another worker has it."""
    with portal.database.write() as session:
        is_ours = jobs.end_job(session, run.record, state=CANCELLED, now=now, progress=run.progress)
    return _told(run, CANCELLED if is_ours else None)


def _end(
    portal: Portal, run: _Run, kind: JobKind | None, *, error: tuple[str, str] | None, now: datetime
) -> str | None:
    record = run.record
    if error is None:
        with portal.database.write() as session:
            is_ours = jobs.end_job(session, record, state=DONE, now=now, progress=100)
        return _told(run, DONE if is_ours else None)
    run.say(f"{error[0]}: {error[1]}", level="error")
    is_last = kind is None or record.attempt >= kind.max_attempts
    with portal.database.write() as session:
        if is_last:
            is_ours = jobs.end_job(session, record, state=FAILED, now=now, progress=run.progress, error=error)
        else:
            later = now + pause_after(record.attempt)
            is_ours = jobs.put_back_job(session, record, not_before=later, error=error)
    return _told(run, (FAILED if is_last else "waiting") if is_ours else None, code=error[0])


def _told(run: _Run, ended: str | None, *, code: str | None = None) -> str | None:
    fields = {"job": run.record.job_id, "kind": run.record.kind, "outcome": ended, "code": code}
    if ended is None:
        logger.warning("job lost to another worker", extra=fields)
    else:
        logger.info("job ended", extra=fields)
    return ended


class _Run:
    """What the function of a job is given: see ``kinds.Run``."""

    def __init__(self, portal: Portal, record: JobRecord, clock: Clock) -> None:
        self.record = record
        self.arguments: Mapping[str, Json] = json.loads(record.arguments)
        self.now = clock()
        self.progress = 0
        self._portal = portal
        self._clock = clock
        self._lines = 0
        self._must_end = threading.Event()
        self._is_over = threading.Event()

    def say(self, text: str, *, level: str = "info") -> None:
        self._lines += 1
        if self._lines > MAX_LINES:
            return
        told = text if self._lines < MAX_LINES else "more lines than are kept"
        line = JobLine(written=self._clock(), level=level, text=told[:MAX_LINE_CHARS])
        with self._portal.database.write() as session:
            jobs.add_line(session, self.record.job_id, line)

    def reach(self, done: int, of: int) -> None:
        self.progress = min(99, 100 * done // max(1, of))  # 100 is said by the end itself
        if self._must_end.is_set():
            raise Ended

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the lease alive within the block."""
        keeper = threading.Thread(target=self._keep, name="job-lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._is_over.set()
            keeper.join(JOIN_S)

    def _keep(self) -> None:
        while not self._is_over.wait(KEEP_EVERY_S):
            try:
                self._keep_once()
            except TryLater as err:
                # The lease may run out meanwhile: whoever claims the job then is seen at the next turn.
                logger.warning("lease not kept", extra={"job": self.record.job_id, "code": err.code})

    def _keep_once(self) -> None:
        with self._portal.database.write() as session:
            is_ours = jobs.keep_job(
                session, self.record, lease_until=self._clock() + LEASE, progress=self.progress
            )
            if not is_ours or jobs.is_cancel_asked(session, self.record.job_id):
                self._must_end.set()
