"""The one query of monitoring: how many engines are what, whatever their number."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from engineshed_server.db.models import EngineRow, PresenceRow
from engineshed_server.domain.fleet_counts import EngineGroup


def count_engines(session: Session, *, online_since: datetime) -> tuple[EngineGroup, ...]:
    """The engines by product, state, version and channel; each is in one group.

    The version is that of the last poll or of the last report, whichever is newer. Who has only just joined
    was heard of by that.
    """
    polled_last = PresenceRow.seen >= EngineRow.version_at
    version = case((polled_last, PresenceRow.version), else_=EngineRow.version)
    heard = func.coalesce(PresenceRow.seen, EngineRow.enrolled)
    online = case((heard >= online_since, 1), else_=0)
    # After a report the engine is idle until it polls again.
    at_work = case((polled_last & PresenceRow.attempt.is_not(None), 1), else_=0)
    columns = (EngineRow.product, EngineRow.state, version.label("version"), EngineRow.channel)
    counts = (
        func.count().label("engines"),
        func.sum(online).label("online"),
        func.sum(at_work).label("at_work"),
    )
    query = (
        select(*columns, *counts)
        .outerjoin(PresenceRow, PresenceRow.engine_id == EngineRow.id)
        .group_by(*columns)
    )
    return tuple(
        EngineGroup(
            product=row.product,
            state=row.state,
            version=row.version,
            channel=row.channel,
            engines=row.engines,
            online=int(row.online),  # MariaDB sums to decimals
            at_work=int(row.at_work),
        )
        for row in session.execute(query)
    )
