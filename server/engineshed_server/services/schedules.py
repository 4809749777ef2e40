"""Schedules: what is done by itself, when, and where; read from the database at each look.

    ensure_schedules(portal, defaults, now=now)     # at the start: those that are not there yet
    run_due(portal, bell, now=now)                  # each look of a scheduler; several may look
    change_schedule(portal, name, wanted, ...)      # an admin switches and times it

A turn has a slot, and there is one job for each (schedule, slot): two schedulers run no turn twice. Of turns
that were missed one is caught up; a turn that comes while the job of an earlier one goes on is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from engineshed_server.db import schedules
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.jobs import JobRecord
from engineshed_server.db.schedules import ScheduleRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.schedules import read_timing
from engineshed_server.errors import NotFound, Outdated, Raced, Refused
from engineshed_server.services.jobs.kinds import Bell
from engineshed_server.services.jobs.requesting import write_job
from engineshed_server.services.portal import Portal
from engineshed_server.settings.fields import MAX_NODE_CHARS

SCHEDULER = Actor("scheduler")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an admin sets of a schedule."""

    is_on: bool
    timing: str
    zone: str
    node: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultSchedule:
    """A schedule that is there from the beginning; its name is that of its kind of job."""

    kind: str
    timing: str
    zone: str = "UTC"


def ensure_schedules(portal: Portal, defaults: Iterable[DefaultSchedule], *, now: datetime) -> None:
    """Write those of *defaults* that are not there; what an admin changed stays."""
    with portal.database.read() as session:
        known = {record.name for record in schedules.list_schedules(session)}
    for default in defaults:
        if default.kind in known:
            continue
        record = ScheduleRecord(
            name=default.kind,
            kind=default.kind,
            is_on=True,
            timing=default.timing,
            zone=default.zone,
            node=None,
            next_run=read_timing(default.timing, zone=default.zone).next_after(now),
            last_run=None,
            revision=1,
        )
        try:
            with portal.database.write() as session:
                schedules.add_schedule(session, record)
        except Raced:  # another process starts as well
            continue


def list_schedules(portal: Portal) -> tuple[ScheduleRecord, ...]:
    """All schedules, by name."""
    with portal.database.read() as session:
        return schedules.list_schedules(session)


def find_schedule(portal: Portal, name: str) -> ScheduleRecord:
    """The schedule with that name.

    Raises:
        NotFound: code ``schedule-unknown``.
    """
    with portal.database.read() as session:
        return _found(session, name)


def run_due(portal: Portal, bell: Bell, *, now: datetime) -> int:
    """Write a job for every turn that has come, and ring; returns how many were written here.

    Raises:
        TryLater: the database is away.
    """
    with portal.database.read() as session:
        due = schedules.list_due_schedules(session, now=now)
    written = [job for record in due if (job := _take(portal, record, now=now)) is not None]
    for job in written:
        bell.ring(job.job_id, kind=job.kind)
    return len(written)


def _take(portal: Portal, record: ScheduleRecord, *, now: datetime) -> JobRecord | None:
    assert record.next_run is not None  # it is due
    timing = read_timing(record.timing, zone=record.zone)
    slot = timing.newest_slot(record.next_run, now)
    try:
        with portal.database.write() as session:
            if not schedules.take_turn(session, record, slot=slot, next_run=timing.next_after(now)):
                return None
            if schedules.has_open_job(session, record.name):
                logger.warning("turn left out", extra={"schedule": record.name})
                return None
            turn = (record.name, slot)
            return write_job(session, record.kind, actor=SCHEDULER, now=now, node=record.node, turn=turn)
    except Raced:  # the slot was taken by another scheduler
        return None


def change_schedule(
    portal: Portal, name: str, wanted: Wanted, *, revision: int | None, actor: Actor, now: datetime
) -> ScheduleRecord:
    """Switch and time a schedule.

    Args:
        revision: of the schedule as it was read, None for whatever it is.

    Raises:
        NotFound: code ``schedule-unknown``.
        Outdated: code ``schedule-outdated``.
        Refused: ``timing-unreadable``, ``zone-unknown`` or ``node-unreadable``.
    """
    timing = read_timing(wanted.timing, zone=wanted.zone)
    if wanted.node is not None and not 0 < len(wanted.node) <= MAX_NODE_CHARS:
        raise Refused("node-unreadable", f"found a node of {len(wanted.node)} characters, expected 1 to 64")
    with portal.database.write() as session:
        before = _found(session, name)
        after = replace(
            before,
            is_on=wanted.is_on,
            timing=wanted.timing,
            zone=wanted.zone,
            node=wanted.node,
            next_run=timing.next_after(now) if wanted.is_on else None,
            revision=before.revision + 1,
        )
        if revision not in (None, before.revision) or not schedules.change_schedule(session, before, after):
            raise Outdated("schedule-outdated", f"schedule {name} was changed meanwhile: read it again")
        add_audit(
            session,
            "schedule-changed",
            subject=name,
            actor=actor,
            now=now,
            before=_shown(before),
            after=_shown(after),
        )
    return after


def _found(session: Session, name: str) -> ScheduleRecord:
    record = schedules.find_schedule(session, name)
    if record is None:
        raise NotFound("schedule-unknown", f"there is no schedule {name[:64]!r}")
    return record


def _shown(record: ScheduleRecord) -> Details:
    return {name: getattr(record, name) for name in ("is_on", "timing", "zone", "node")}
