"""Somebody wants a job done, or wants it to end; what they see of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_server.db import jobs
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.jobs import JobLine, JobRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.jobs import CANCELLED, WAITING
from engineshed_server.errors import Conflict, NotFound, Refused
from engineshed_server.services.jobs.kinds import Bell, Kinds
from engineshed_server.services.portal import Portal

MAX_ARGUMENT_CHARS = 4096
LINES_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """A job, and the last lines it wrote."""

    job: JobRecord
    lines: tuple[JobLine, ...]


def request_job(
    portal: Portal,
    kind: str,
    *,
    kinds: Kinds,
    bell: Bell,
    actor: Actor,
    now: datetime,
    arguments: Mapping[str, Json] | None = None,
) -> JobRecord:
    """Let a job be done now.

    Raises:
        Refused: code ``job-kind-unknown``.
    """
    if kind not in kinds:
        known = ", ".join(sorted(kinds))
        raise Refused("job-kind-unknown", f"found the job {kind[:64]!r}, expected one of {known}")
    with portal.database.write() as session:
        job = write_job(session, kind, actor=actor, now=now, arguments=arguments)
        add_audit(session, "job-requested", subject=job.job_id, actor=actor, now=now, details={"kind": kind})
    bell.ring(job.job_id, kind=kind)
    return job


def write_job(
    session: Session,
    kind: str,
    *,
    actor: Actor,
    now: datetime,
    arguments: Mapping[str, Json] | None = None,
    node: str | None = None,
    turn: tuple[str, datetime] | None = None,
) -> JobRecord:
    """Write a job in the transaction of what wants it; to be rung for when that has ended.

    Args:
        turn: name of the schedule and its slot.
    """
    text = json.dumps(dict(arguments or {}), sort_keys=True)
    assert len(text) <= MAX_ARGUMENT_CHARS, f"{kind}: arguments of {len(text)} characters"
    schedule, slot = turn or (None, None)
    job = JobRecord(
        job_id=new_id("job"),
        kind=kind,
        arguments=text,
        requested_by=actor.name[:200],
        node=node,
        state=WAITING,
        not_before=now,
        attempt=0,
        worker=None,
        lease_until=None,
        cancel_asked=None,
        progress=0,
        error_code=None,
        error=None,
        created=now,
        started=None,
        ended=None,
        schedule=schedule,
        slot=slot,
    )
    jobs.add_job(session, job)
    return job


def list_jobs(
    portal: Portal, *, limit: int, states: Sequence[str] = (), kind: str | None = None
) -> tuple[JobRecord, ...]:
    """At most *limit* jobs in one of *states*, in any when empty, the newest first."""
    with portal.database.read() as session:
        return jobs.list_jobs(session, limit=limit, states=states, kind=kind)


def show_job(portal: Portal, job_id: str) -> JobDetail:
    """One job.

    Raises:
        NotFound: code ``job-unknown``.
    """
    with portal.database.read() as session:
        return JobDetail(
            job=_found(session, job_id), lines=jobs.list_lines(session, job_id, limit=LINES_SHOWN)
        )


def cancel_job(portal: Portal, job_id: str, *, actor: Actor, now: datetime) -> JobRecord:
    """End a job that waits at once; ask the worker of one that runs to end it.

    Raises:
        NotFound: code ``job-unknown``.
        Conflict: code ``job-ended``.
    """
    with portal.database.write() as session:
        before = _found(session, job_id)
        if not jobs.cancel_job(session, job_id, now=now):
            raise Conflict("job-ended", f"job {job_id} is {before.state} already: there is nothing to cancel")
        session.expire_all()
        after = _found(session, job_id)
        action = "job-cancelled" if after.state == CANCELLED else "job-cancel-asked"
        add_audit(session, action, subject=job_id, actor=actor, now=now, details={"kind": before.kind})
    return after


def _found(session: Session, job_id: str) -> JobRecord:
    job = jobs.find_job(session, job_id)
    if job is None:
        raise NotFound("job-unknown", f"there is no job {job_id[:40]!r}: it may have been pruned")
    return job
