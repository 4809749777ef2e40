"""The audit trail: one row for each change, written in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Subquery, func, literal, select, union
from sqlalchemy.orm import Session

from engineshed_server.db.models import AuditRow, OrderRow, ReportRow
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.filters import AuditFilter

_ACTOR_CHARS = 200
_ADDRESS_CHARS = 64
_SUBJECT_CHARS = 400
_OF_ENGINE = "eng_"
_RECENT = 2000  # changes among which the newest of some kinds are looked for

Details = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One change: *actor* did *action* to *subject*.

    Attributes:
        details: JSON object of what else is worth knowing. before, after: JSON objects of what was changed.
    """

    id: int
    at: datetime
    actor: Actor
    action: str
    subject: str
    details: str
    before: str | None
    after: str | None


def add_audit(
    session: Session,
    action: str,
    *,
    subject: str,
    actor: Actor,
    now: datetime,
    details: Details | None = None,
    before: Details | None = None,
    after: Details | None = None,
) -> None:
    """Write down a change. None of the values holds a secret; texts too long for their column are cut."""
    session.add(
        AuditRow(
            at=now,
            actor=actor.name[:_ACTOR_CHARS],
            address=None if actor.address is None else actor.address[:_ADDRESS_CHARS],
            request=actor.request,
            action=action,
            subject=subject[:_SUBJECT_CHARS],
            details=_text(details or {}),
            before=None if before is None else _text(before),
            after=None if after is None else _text(after),
        )
    )


def _text(values: Details) -> str:
    return json.dumps(dict(values), sort_keys=True)


def list_audit(session: Session) -> tuple[AuditRecord, ...]:
    """All changes, oldest first."""
    return tuple(_record(row) for row in session.scalars(select(AuditRow).order_by(AuditRow.id)))


def page_audit(
    session: Session, wanted: AuditFilter, *, limit: int, before_id: int | None
) -> tuple[AuditRecord, ...]:
    """At most *limit* changes that *wanted* lets through, newest first, from before *before_id*."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(AuditRow.id < before_id)
    if wanted.subject is not None and wanted.subject.startswith(_OF_ENGINE):
        about = _about_engine(wanted.subject)
        query = query.join(about, AuditRow.subject == about.c.subject)
    elif wanted.subject is not None:
        query = query.where(AuditRow.subject == wanted.subject)
    if wanted.actor is not None:
        query = query.where(AuditRow.actor == wanted.actor)
    if wanted.action is not None:
        query = query.where(AuditRow.action == wanted.action)
    if wanted.since is not None:
        query = query.where(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditRow.at < wanted.until)
    return tuple(_record(row) for row in session.scalars(query))


def list_recent(session: Session, *, without: Sequence[str], limit: int) -> tuple[AuditRecord, ...]:
    """At most *limit* changes, newest first, but for some actions; none that lies further back."""
    newest = select(func.max(AuditRow.id)).scalar_subquery()
    query = (
        select(AuditRow)
        .where(AuditRow.id > newest - _RECENT, AuditRow.action.not_in(without))
        .order_by(AuditRow.id.desc())
        .limit(limit)
    )
    return tuple(_record(row) for row in session.scalars(query))


def _about_engine(engine_id: str) -> Subquery:
    """The subjects of changes that are about an engine: itself, its orders, its attempts."""
    # Joined as a table of its own: each database then finds the changes by the index of their subjects.
    return union(
        select(literal(engine_id).label("subject")),
        select(OrderRow.id).where(OrderRow.engine_id == engine_id),
        select(ReportRow.attempt).where(ReportRow.engine_id == engine_id),
    ).subquery()


def _record(row: AuditRow) -> AuditRecord:
    return AuditRecord(
        id=row.id,
        at=row.at,
        actor=Actor(row.actor, address=row.address, request=row.request),
        action=row.action,
        subject=row.subject,
        details=row.details,
        before=row.before,
        after=row.after,
    )
