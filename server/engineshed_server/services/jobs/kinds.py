"""What a kind of job is, and what its function may ask for while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engineshed_packages.jsontext import Json
from engineshed_server.domain.jobs import MAX_ATTEMPTS
from engineshed_server.services.portal import Portal


class Bell(Protocol):
    """Tells workers that a job waits. It may fail to: nothing is lost, what waits is rung again."""

    def ring(self, job_id: str, *, kind: str) -> None:
        """Ring for one job, after the transaction that wrote it; never raises."""
        ...


class Run(Protocol):
    """A job that runs, as its function sees it."""

    arguments: Mapping[str, Json]
    now: datetime

    def say(self, text: str, *, level: str = "info") -> None:
        """Write a line into the job's log."""
        ...

    def reach(self, done: int, of: int) -> None:
        """Say how far the work is, and go on only if it may.

        Raises:
            Ended: somebody asked for the end, or the job is another worker's by now.
        """
        ...


class Ended(Exception):
    """The job is to end here: its function lets this through, and leaves nothing half-written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """What can be done.

    Attributes:
        name: kebab-case.
        work: carries one out; may be run again from the start at any time, its effect stays one.
        soft_limit_s: when it is asked to end; after as long again as ``grace_s`` it is killed.
        max_attempts: so often it is tried.
    """

    name: str
    work: Callable[[Portal, Run], None]
    soft_limit_s: int = 600
    grace_s: int = 30
    max_attempts: int = MAX_ATTEMPTS


Kinds = Mapping[str, JobKind]
