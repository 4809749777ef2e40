"""Reports: the final word on an attempt, counted once.

An engine sends its report until it hears that it arrived: the second time the answer is ``known`` and
nothing changes.
"""

from __future__ import annotations

from datetime import datetime

from engineshed_packages.protocol import Report, ReportAnswer
from engineshed_server.db import engines, orders, reports
from engineshed_server.db.audit import add_audit
from engineshed_server.errors import NotAllowed, NotAuthenticated
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced

RECORDED = "recorded"
KNOWN = "known"
REFUSAL = "order-"  # codes of orders the engine did not accept, see the format's ``orders``


def record_report(portal: Portal, engine_id: str, *, report: Report, now: datetime) -> ReportAnswer:
    """Take in the report of the engine whose token was verified: its attempt, its version, its order.

    From now on the engine is shown idle with that version, until a later poll says otherwise.

    Raises:
        NotAllowed: code ``engine-mismatch``: the report is another engine's.
        NotAuthenticated: code ``engine-unknown``.
        TryLater: the database is away.
    """
    if report.engine != engine_id:
        raise NotAllowed(
            "engine-mismatch", f"the token is of engine {engine_id}, the report of {report.engine}"
        )
    recorded = run_again_when_raced(lambda: _record(portal, report, now=now))
    return ReportAnswer(code=RECORDED if recorded else KNOWN)


def _record(portal: Portal, report: Report, *, now: datetime) -> bool:
    with portal.database.write() as session:
        if engines.lock_engine(session, report.engine) is None:
            raise NotAuthenticated("engine-unknown", f"engine {report.engine} is not enrolled on this portal")
        if not reports.add_report(session, report, now=now):
            return False
        if report.order is not None:
            refused = report.code.startswith(REFUSAL)
            orders.close_order(
                session,
                report.order,
                engine_id=report.engine,
                state=orders.REFUSED if refused else orders.ANSWERED,
                answer=report.code,
                now=now,
            )
        version = None if report.version is None else report.version.text
        engines.set_version(session, report.engine, version=version, at=now)
        add_audit(
            session,
            "attempt-ended",
            subject=report.attempt,
            actor=report.engine,
            now=now,
            details={"outcome": report.outcome.value, "code": report.code, "version": version or "none"},
        )
    return True
