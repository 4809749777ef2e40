"""A bell that remembers, and workers and kinds for the tests of jobs."""

from __future__ import annotations

from collections.abc import Callable

from engineshed_server.services.jobs.kinds import JobKind, Kinds, Run
from engineshed_server.services.jobs.running import Worker, run_job
from engineshed_server.services.portal import Portal
from tests.server.portals import House

WORKER = Worker(name="worker-1", node="here")


class HeardBell:
    """Remembers what was rung for."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, job_id: str, *, kind: str) -> None:
        self.rung.append(job_id)


def kinds_of(work: Callable[[Portal, Run], None], *, max_attempts: int = 3) -> Kinds:
    """One kind, ``count``, that does *work*."""
    kind = JobKind(name="count", work=work, max_attempts=max_attempts)
    return {kind.name: kind}


def run(house: House, job_id: str, kinds: Kinds, *, worker: Worker = WORKER) -> str | None:
    """Carry out a job as a worker does, at the house's time."""
    return run_job(house.portal, job_id, kinds=kinds, worker=worker, clock=lambda: house.now)
