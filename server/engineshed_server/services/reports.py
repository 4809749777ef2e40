"""Reports: the final word on an attempt, counted once.

An engine sends its report until it hears that it arrived: the second time the answer is ``known`` and
nothing changes.

One engine, or who took its secret, must not fill the disk for all: its reports are limited per hour, and
only those of its last attempts keep their log lines.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from engineshed_packages.protocol import REFUSAL, Outcome, Report, ReportAnswer
from engineshed_server.db import configurations, engines, orders, reports
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.metrics import ATTEMPTS
from engineshed_server.errors import NotAllowed, NotAuthenticated, Throttled
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced

RECORDED = "recorded"
KNOWN = "known"
MAX_PER_HOUR = 60  # an attempt with download, start and probe takes minutes; refusals rest for an hour
RETRY_AFTER_S = 600
KEPT_LOGS = 20  # attempts; with the largest reports 8 MB an engine
REFUSAL_CODES = "order-"  # of orders the engine did not accept, see the format's ``orders``


def record_report(portal: Portal, engine_id: str, *, report: Report, now: datetime) -> ReportAnswer:
    """Take in the report of the engine whose token was verified: its attempt, its version, its order.

    From now on the engine is shown idle with that version, until a later poll says otherwise. What an updater
    reports of itself leaves its engine as it is.

    Raises:
        NotAllowed: code ``engine-mismatch``: the report is another engine's.
        NotAuthenticated: code ``engine-unknown``.
        TryLater: the database is away.
        Throttled: code ``reports-too-many``: the engine has sent too many lately.
    """
    if report.engine != engine_id:
        raise NotAllowed(
            "engine-mismatch",
            f"the token is of engine {engine_id}, the report of {report.engine}: send its own token",
        )
    recorded = run_again_when_raced(lambda: _record(portal, report, now=now))
    if recorded:
        portal.meters.count(ATTEMPTS, report.outcome.value)
    return ReportAnswer(code=RECORDED if recorded else KNOWN)


def _record(portal: Portal, report: Report, *, now: datetime) -> bool:
    with portal.database.write() as session:
        if engines.lock_engine(session, report.engine) is None:
            raise NotAuthenticated("engine-unknown", f"engine {report.engine} is not enrolled on this portal")
        if reports.has_report(session, report.engine, report.attempt):
            return False
        _check_rate(session, report.engine, now=now)
        reports.add_report(session, report, now=now)
        reports.forget_logs(session, report.engine, kept=KEPT_LOGS)
        if report.order is not None:
            _close_order(session, report, report.order, now=now)
        version = None if report.version is None else report.version.text
        if not report.is_own:  # which tells of the updater, and nothing of its engine
            engines.set_version(session, report.engine, version=version, at=now)
        add_audit(
            session,
            "attempt-ended",
            subject=report.attempt,
            actor=Actor(report.engine),
            now=now,
            details=_details(report, version=version),
        )
    return True


def _details(report: Report, *, version: str | None) -> Details:
    told: Details = {"outcome": report.outcome.value, "code": report.code, "version": version or "none"}
    if report.is_own:
        told = {**told, "product": report.product}
    return told if report.order is None else {**told, "kind": report.kind, "order": report.order}


def _close_order(session: Session, report: Report, order_id: str, *, now: datetime) -> None:
    refused = report.kind == REFUSAL or report.code.startswith(REFUSAL_CODES)
    closed = orders.close_order(
        session,
        order_id,
        engine_id=report.engine,
        state=orders.REFUSED if refused else orders.ANSWERED,
        answer=report.code,
        now=now,
    )
    order = orders.find_order(session, order_id) if closed else None
    if order is None:
        return
    if order.configuration is not None and not refused and report.outcome is Outcome.OK:
        configurations.set_configuration(session, report.engine, number=order.configuration)
        portal_rows.bump_generation(session)
    if order.origin == orders.ADMIN:
        # Only while such an order is open do the engine's polls ask the database.
        portal_rows.bump_generation(session)


def _check_rate(session: Session, engine_id: str, *, now: datetime) -> None:
    found = reports.count_reports(session, engine_id, since=now - timedelta(hours=1))
    if found >= MAX_PER_HOUR:
        raise Throttled(
            "reports-too-many",
            f"engine {engine_id} has reported {found} attempts within an hour, at most {MAX_PER_HOUR} are "
            "taken; keep the report and send it later",
            retry_after_s=RETRY_AFTER_S,
        )
