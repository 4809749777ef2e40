"""The audit trail: one row for each change, written in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from engineshed_server.db.models import AuditRow

_ACTOR_CHARS = 200
_SUBJECT_CHARS = 400

Details = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One change: *actor* did *action* to *subject*."""

    at: datetime
    actor: str
    action: str
    subject: str
    details: str


def add_audit(
    session: Session,
    action: str,
    *,
    subject: str,
    actor: str,
    now: datetime,
    details: Details | None = None,
) -> None:
    """Write down a change. *details* holds no secret; texts too long for the column are cut."""
    session.add(
        AuditRow(
            at=now,
            actor=actor[:_ACTOR_CHARS],
            action=action,
            subject=subject[:_SUBJECT_CHARS],
            details=json.dumps(dict(details or {}), sort_keys=True),
        )
    )


def list_audit(session: Session) -> tuple[AuditRecord, ...]:
    """All changes, oldest first."""
    rows = session.scalars(select(AuditRow).order_by(AuditRow.id))
    return tuple(
        AuditRecord(at=row.at, actor=row.actor, action=row.action, subject=row.subject, details=row.details)
        for row in rows
    )
