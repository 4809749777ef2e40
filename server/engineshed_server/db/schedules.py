"""Schedules: what is done when; a turn is taken by an UPDATE that names the turn it takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import JobRow, ScheduleRow
from engineshed_server.domain.jobs import OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """One schedule.

    Attributes:
        timing, zone: see ``domain.schedules``. node: where alone its jobs run, None for anywhere.
        next_run: None while it is off. last_run: the newest turn taken.
    """

    name: str
    kind: str
    is_on: bool
    timing: str
    zone: str
    node: str | None
    next_run: datetime | None
    last_run: datetime | None
    revision: int


_FIELDS = tuple(ScheduleRecord.__dataclass_fields__)


def _record(row: ScheduleRow) -> ScheduleRecord:
    return ScheduleRecord(**{name: getattr(row, name) for name in _FIELDS})


def add_schedule(session: Session, record: ScheduleRecord) -> None:
    """Write a new schedule."""
    session.add(ScheduleRow(**{name: getattr(record, name) for name in _FIELDS}))
    session.flush()


def find_schedule(session: Session, name: str) -> ScheduleRecord | None:
    """The schedule with that name."""
    row = session.get(ScheduleRow, name)
    return None if row is None else _record(row)


def list_schedules(session: Session) -> tuple[ScheduleRecord, ...]:
    """All of them, by name."""
    return tuple(_record(row) for row in session.scalars(select(ScheduleRow).order_by(ScheduleRow.name)))


def list_due_schedules(session: Session, *, now: datetime) -> tuple[ScheduleRecord, ...]:
    """Those with a turn that has come, by name."""
    query = select(ScheduleRow).where(ScheduleRow.next_run <= now).order_by(ScheduleRow.name)
    return tuple(_record(row) for row in session.scalars(query))


def take_turn(session: Session, record: ScheduleRecord, *, slot: datetime, next_run: datetime | None) -> bool:
    """Move *record* on to *next_run*; false when another scheduler took the turn, or somebody changed it."""
    statement = (
        update(ScheduleRow)
        .where(
            ScheduleRow.name == record.name,
            ScheduleRow.next_run == record.next_run,
            ScheduleRow.revision == record.revision,
        )
        .values(last_run=slot, next_run=next_run)
    )
    return changed_rows(session, statement) == 1


def change_schedule(session: Session, before: ScheduleRecord, after: ScheduleRecord) -> bool:
    """Write what an admin changed; false when it was changed since *before* was read."""
    values = {name: getattr(after, name) for name in ("is_on", "timing", "zone", "node", "next_run")}
    statement = (
        update(ScheduleRow)
        .where(ScheduleRow.name == before.name, ScheduleRow.revision == before.revision)
        .values(**values, revision=before.revision + 1)
    )
    return changed_rows(session, statement) == 1


def has_open_job(session: Session, schedule: str) -> bool:
    """Whether a job of an earlier turn has not ended."""
    query = select(JobRow.id).where(JobRow.schedule == schedule, JobRow.state.in_(OPEN)).limit(1)
    return session.scalar(query) is not None
