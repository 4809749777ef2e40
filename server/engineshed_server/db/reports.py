"""Final reports of attempts: one per engine and attempt id, the first counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from engineshed_packages.protocol import Report
from engineshed_packages.versions import Version
from engineshed_server.db.models import ReportRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRecord:
    """A report as it came, and when.

    Attributes:
        started, ended: by the engine's clock. received: by ours.
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


def _text(version: Version | None) -> str | None:
    return None if version is None else version.text


def add_report(session: Session, report: Report, *, now: datetime) -> bool:
    """Write a report; false when the engine's attempt already has one."""
    if session.get(ReportRow, (report.engine, report.attempt)) is not None:
        return False
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
        )
    )
    session.flush()
    return True


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
