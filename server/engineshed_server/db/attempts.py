"""The attempts of all engines that ended last: of each what a line shows, and not its logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from engineshed_packages.protocol import REFUSAL
from engineshed_server.db.models import EngineRow, ReportRow


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAttempt:
    """An attempt that has ended, and whose it was; ``received`` is when we heard of it."""

    engine_id: str
    host_name: str
    kind: str
    outcome: str
    code: str
    from_version: str | None
    to_version: str | None
    received: datetime


def list_ended(session: Session, *, limit: int) -> tuple[EndedAttempt, ...]:
    """The last attempts that were begun, of whichever engine, newest first."""
    query = (
        select(
            ReportRow.engine_id,
            EngineRow.host_name,
            ReportRow.kind,
            ReportRow.outcome,
            ReportRow.code,
            ReportRow.from_version,
            ReportRow.to_version,
            ReportRow.received,
        )
        .join(EngineRow, EngineRow.id == ReportRow.engine_id)
        .where(ReportRow.kind != REFUSAL)
        .order_by(ReportRow.received.desc())
        .limit(limit)
    )
    return tuple(EndedAttempt(**row._mapping) for row in session.execute(query))
