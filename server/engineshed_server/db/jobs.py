"""Jobs: adding them with what wants them, claiming, keeping, ending; every change names what it comes from.

Whoever claims a job gets its next ``attempt``: what a worker writes later is guarded by it, so that one that
was taken for dead changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Update, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import JobLineRow, JobRow
from engineshed_server.domain.jobs import CANCELLED, OPEN, RUNNING, WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job.

    Attributes:
        arguments: a JSON object.
        requested_by: an actor's name. node: where alone it may run, None for anywhere.
        not_before: when it may be claimed.
        attempt: how often it was claimed. worker, lease_until: whose it is, and how long without a word.
        cancel_asked: since when it is to end, None when it is not.
        progress: 0 to 100. error_code, error: of the last try that failed.
        schedule, slot: the turn it was made for, None for one that somebody asked for.
    """

    job_id: str
    kind: str
    arguments: str
    requested_by: str
    node: str | None
    state: str
    not_before: datetime
    attempt: int
    worker: str | None
    lease_until: datetime | None
    cancel_asked: datetime | None
    progress: int
    error_code: str | None
    error: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    schedule: str | None
    slot: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """A line that a job wrote: when, how grave (``info``, ``warning``, ``error``), and what."""

    written: datetime
    level: str
    text: str


_UNSEEN = {"synchronize_session": False}
_COPIED = tuple(name for name in JobRecord.__dataclass_fields__ if name != "job_id")


def _record(row: JobRow) -> JobRecord:
    return JobRecord(job_id=row.id, **{name: getattr(row, name) for name in _COPIED})


def add_job(session: Session, record: JobRecord) -> None:
    """Write a new job, in the transaction of what wants it."""
    session.add(JobRow(id=record.job_id, **{name: getattr(record, name) for name in _COPIED}))
    session.flush()


def find_job(session: Session, job_id: str) -> JobRecord | None:
    """The job with that id."""
    row = session.get(JobRow, job_id)
    return None if row is None else _record(row)


def list_jobs(
    session: Session,
    *,
    limit: int,
    states: Sequence[str] = (),
    kind: str | None = None,
    after: tuple[datetime, str] | None = None,
) -> tuple[JobRecord, ...]:
    """At most *limit* jobs, the newest first.

    Args:
        states: only in one of these; all when empty.
        after: ``created`` and id of the last one that was listed before.
    """
    query = select(JobRow).order_by(JobRow.created.desc(), JobRow.id.desc()).limit(limit)
    if states:
        query = query.where(JobRow.state.in_(states))
    if kind is not None:
        query = query.where(JobRow.kind == kind)
    if after is not None:
        created, job_id = after
        query = query.where(
            or_(JobRow.created < created, and_(JobRow.created == created, JobRow.id < job_id))
        )
    return tuple(_record(row) for row in session.scalars(query))


def list_due(session: Session, *, now: datetime, limit: int) -> tuple[tuple[str, str], ...]:
    """Ids and kinds of jobs that may be claimed now, who have waited longest first."""
    query = (
        select(JobRow.id, JobRow.kind)
        .where(_may_be_claimed(now))
        .order_by(JobRow.not_before, JobRow.id)
        .limit(limit)
    )
    return tuple((row.id, row.kind) for row in session.execute(query))


def _may_be_claimed(now: datetime) -> ColumnElement[bool]:
    waits = and_(JobRow.state == WAITING, JobRow.not_before <= now)
    is_orphaned = and_(JobRow.state == RUNNING, JobRow.lease_until <= now)
    return or_(waits, is_orphaned)


def claim_job(
    session: Session, job_id: str, *, worker: str, node: str, now: datetime, lease_until: datetime
) -> JobRecord | None:
    """Take a job that waits, or whose worker is silent; None when it is not to be had."""
    statement = (
        update(JobRow)
        .where(JobRow.id == job_id, _may_be_claimed(now), or_(JobRow.node.is_(None), JobRow.node == node))
        .values(
            state=RUNNING,
            attempt=JobRow.attempt + 1,
            worker=worker,
            lease_until=lease_until,
            started=func.coalesce(JobRow.started, now),
            progress=0,
        )
    )
    return find_job(session, job_id) if changed_rows(session, statement) else None


def keep_job(session: Session, record: JobRecord, *, lease_until: datetime, progress: int) -> bool:
    """Say that the job is being worked on; false when it is not the worker's any more."""
    statement = _of(record).values(lease_until=lease_until, progress=progress)
    return changed_rows(session, statement) == 1


def is_cancel_asked(session: Session, job_id: str) -> bool:
    """Whether somebody wants the job to end."""
    return session.scalar(select(JobRow.cancel_asked).where(JobRow.id == job_id)) is not None


def end_job(
    session: Session,
    record: JobRecord,
    *,
    state: str,
    now: datetime,
    progress: int,
    error: tuple[str, str] | None = None,
) -> bool:
    """Write down how a claimed job ended; false when it is not the worker's any more."""
    code, text = error or (None, None)
    statement = _of(record).values(
        state=state, ended=now, progress=progress, error_code=code, error=text, worker=None, lease_until=None
    )
    return changed_rows(session, statement) == 1


def put_back_job(
    session: Session, record: JobRecord, *, not_before: datetime, error: tuple[str, str]
) -> bool:
    """Let a claimed job wait until *not_before*; false when it is not the worker's any more."""
    code, text = error
    statement = _of(record).values(
        state=WAITING, not_before=not_before, error_code=code, error=text, worker=None, lease_until=None
    )
    return changed_rows(session, statement) == 1


def _of(record: JobRecord) -> Update:
    """The claim, as long as it is the newest one."""
    return update(JobRow).where(
        JobRow.id == record.job_id, JobRow.state == RUNNING, JobRow.attempt == record.attempt
    )


def cancel_job(session: Session, job_id: str, *, now: datetime) -> bool:
    """End a job that waits at once, ask the worker of one that runs; false when it has ended already."""
    waits = update(JobRow).where(JobRow.id == job_id, JobRow.state == WAITING)
    if changed_rows(session, waits.values(state=CANCELLED, ended=now, cancel_asked=now)):
        return True
    is_open = update(JobRow).where(JobRow.id == job_id, JobRow.state.in_(OPEN))
    return changed_rows(session, is_open.values(cancel_asked=func.coalesce(JobRow.cancel_asked, now))) == 1


def add_line(session: Session, job_id: str, line: JobLine) -> None:
    """Write a line of a job."""
    session.add(JobLineRow(job_id=job_id, written=line.written, level=line.level, text=line.text))


def list_lines(session: Session, job_id: str, *, limit: int) -> tuple[JobLine, ...]:
    """The last *limit* lines of a job, the oldest of them first."""
    query = select(JobLineRow).where(JobLineRow.job_id == job_id).order_by(JobLineRow.id.desc()).limit(limit)
    rows = [JobLine(written=row.written, level=row.level, text=row.text) for row in session.scalars(query)]
    return tuple(reversed(rows))


def delete_ended(session: Session, *, before: datetime, limit: int) -> int:
    """Forget at most *limit* jobs that ended before then, with their lines; returns how many."""
    query = select(JobRow.id).where(JobRow.state.not_in(OPEN), JobRow.ended < before).limit(limit)
    ids = tuple(session.scalars(query))
    session.execute(delete(JobLineRow).where(JobLineRow.job_id.in_(ids)), execution_options=_UNSEEN)
    session.execute(delete(JobRow).where(JobRow.id.in_(ids)), execution_options=_UNSEEN)
    return len(ids)
