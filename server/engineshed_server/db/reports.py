"""Final reports of attempts: one per engine and attempt id, the first counts.

All are kept, the log lines in them only of an engine's last attempts: they are most of a report's bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from engineshed_packages.protocol import Report
from engineshed_packages.versions import Version
from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import ReportRow

_NO_LINES = "[]"
_MAX_FORGOTTEN = 100  # one falls out at a time, more only after a clock was set back


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRecord:
    """A report as it came, and when.

    Attributes:
        started, ended: by the engine's clock. received: by ours.
        product: the updater's, when it tried to update itself; None when it was about the engine.
        steps: JSON text, a list of state and time.
    """

    engine_id: str
    attempt: str
    order_id: str | None
    kind: str
    outcome: str
    code: str
    message: str
    from_version: str | None
    to_version: str | None
    version: str | None
    measured_version: str | None
    sha256: str | None
    probed: bool
    updater_version: str
    steps: str
    update_log: tuple[str, ...]
    engine_log: tuple[str, ...]
    started: datetime
    ended: datetime
    received: datetime
    product: str | None = None


def _text(version: Version | None) -> str | None:
    return None if version is None else version.text


def has_report(session: Session, engine_id: str, attempt: str) -> bool:
    """Whether the engine's attempt already has a report."""
    query = select(ReportRow.attempt).where(ReportRow.engine_id == engine_id, ReportRow.attempt == attempt)
    return session.scalar(query) is not None


def count_reports(session: Session, engine_id: str, *, since: datetime) -> int:
    """How many reports of the engine were received after *since*."""
    query = select(func.count()).where(ReportRow.engine_id == engine_id, ReportRow.received > since)
    return session.scalar(query) or 0


def forget_logs(session: Session, engine_id: str, *, kept: int) -> int:
    """Empty the log lines of all but the engine's *kept* last reports; returns how many that were."""
    older = session.scalars(
        select(ReportRow.attempt)
        .where(ReportRow.engine_id == engine_id)
        .order_by(ReportRow.received.desc(), ReportRow.ended.desc())
        .offset(kept)
        .limit(_MAX_FORGOTTEN)
    ).all()
    has_lines = or_(ReportRow.update_log != _NO_LINES, ReportRow.engine_log != _NO_LINES)
    statement = (
        update(ReportRow)
        .where(ReportRow.engine_id == engine_id, ReportRow.attempt.in_(older), has_lines)
        .values(update_log=_NO_LINES, engine_log=_NO_LINES)
    )
    return changed_rows(session, statement)


def add_report(session: Session, report: Report, *, now: datetime) -> None:
    """Write the report of an attempt that has none yet."""
    session.add(
        ReportRow(
            engine_id=report.engine,
            attempt=report.attempt,
            order_id=report.order,
            kind=report.kind,
            outcome=report.outcome.value,
            code=report.code,
            message=report.message,
            from_version=_text(report.from_version),
            to_version=_text(report.to_version),
            version=_text(report.version),
            measured_version=report.measured_version,
            sha256=report.sha256,
            probed=report.probed,
            updater_version=report.updater_version,
            steps=json.dumps([step.to_dict() for step in report.steps]),
            update_log=json.dumps(report.update_log),
            engine_log=json.dumps(report.engine_log),
            started=report.started,
            ended=report.ended,
            received=now,
            product=report.product if report.is_own else None,
        )
    )
    session.flush()


_COPIED = tuple(
    name for name in ReportRecord.__dataclass_fields__ if name not in ("update_log", "engine_log")
)


def _record(row: ReportRow) -> ReportRecord:
    return ReportRecord(
        update_log=tuple(json.loads(row.update_log)),
        engine_log=tuple(json.loads(row.engine_log)),
        **{name: getattr(row, name) for name in _COPIED},
    )


def list_reports(session: Session, engine_id: str, *, limit: int) -> tuple[ReportRecord, ...]:
    """The engine's last reports, newest first."""
    query = (
        select(ReportRow)
        .where(ReportRow.engine_id == engine_id)
        .order_by(ReportRow.received.desc(), ReportRow.ended.desc())
        .limit(limit)
    )
    return tuple(_record(row) for row in session.scalars(query))
