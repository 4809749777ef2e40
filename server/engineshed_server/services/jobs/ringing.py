"""What waits is rung again: the message was lost, the broker was away, a worker died, a job has rested."""

from __future__ import annotations

from datetime import datetime

from engineshed_server.db import jobs
from engineshed_server.services.jobs.kinds import Bell
from engineshed_server.services.portal import Portal

MAX_RUNG = 500  # at once; the others wait for the next time


def ring_again(portal: Portal, bell: Bell, *, now: datetime) -> int:
    """Ring for every job that may be claimed now; returns how many.

    A job is rung for at each turn until somebody claims it: a worker that finds it claimed does nothing.

    Raises:
        TryLater: the database is away.
    """
    with portal.database.read() as session:
        due = jobs.list_due(session, now=now, limit=MAX_RUNG)
    for job_id, kind in due:
        bell.ring(job_id, kind=kind)
    return len(due)
