"""What the rules are told of an engine that is not asking now: from its last poll and its reports since."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engineshed_packages.protocol import ROLLBACK, Outcome, Skipped
from engineshed_packages.target import UPDATER_PRODUCT
from engineshed_packages.versions import Version
from engineshed_server.db import engines, reports
from engineshed_server.db.database import Session
from engineshed_server.domain.decide import Candidate, EngineFacts
from engineshed_server.domain.newest import parsed
from engineshed_server.services.engines import SHOWN_ATTEMPTS, installed_version


def find_facts(
    session: Session, engine: engines.EngineRecord, candidates: Sequence[Candidate]
) -> EngineFacts:
    """The facts of *engine*; *candidates* are those of its product."""
    version = installed_version(engine)
    return EngineFacts(
        product=engine.product,
        platform=engine.platform,
        version=None if version is None else Version.parse(version),
        channel=engine.channel,
        skipped=_skipped(engine, _told(session, engine, product=None), candidates),
        waits=engine.state == engines.WAITING,
        hold_reason=engine.hold_reason,
    )


def find_updater_facts(
    session: Session, engine: engines.EngineRecord, candidates: Sequence[Candidate]
) -> EngineFacts:
    """The facts of the updater of *engine*; *candidates* are those of the updater's product."""
    presence = engine.presence
    return EngineFacts(
        product=UPDATER_PRODUCT,
        platform=engine.platform,
        version=parsed(None if presence is None else presence.updater_version),
        channel=engine.channel,
        skipped=_skipped(engine, _told(session, engine, product=UPDATER_PRODUCT), candidates),
        waits=engine.state == engines.WAITING,
        hold_reason=engine.hold_reason,
    )


def _told(
    session: Session, engine: engines.EngineRecord, *, product: str | None
) -> tuple[reports.ReportRecord, ...]:
    """The last reports of the engine's own attempts, or of its updater's."""
    told = reports.list_reports(session, engine.engine_id, limit=SHOWN_ATTEMPTS)
    return tuple(one for one in told if one.product == product)


def _skipped(
    engine: engines.EngineRecord,
    told: Sequence[reports.ReportRecord],
    candidates: Sequence[Candidate],
) -> tuple[Skipped, ...]:
    """The engine's skip list: that of its last poll, and what its reports since then have changed."""
    presence = engine.presence
    polled = () if presence is None else json.loads(presence.skipped)
    skipped = {one.sha256: one for one in map(Skipped.from_dict, polled)}
    for report in reversed(told):  # the oldest first
        if presence is not None and report.received <= presence.seen:
            continue
        if _went_back(report):
            # What was left is named by its version, and not by its package.
            for target in (one.target for one in candidates):
                if target.version.text == report.from_version:
                    skipped[target.sha256] = Skipped(version=target.version, sha256=target.sha256)
        if report.sha256 is None or report.to_version is None:
            continue
        if report.outcome == Outcome.OK:
            skipped.pop(report.sha256, None)
        elif report.outcome in (Outcome.ROLLED_BACK, Outcome.BROKEN):
            version = Version.parse(report.to_version)
            skipped[report.sha256] = Skipped(version=version, sha256=report.sha256)
    return tuple(skipped.values())


def _went_back(report: reports.ReportRecord) -> bool:
    """Whether a newer version was left for an older one."""
    if report.outcome != Outcome.OK or report.from_version is None:
        return False
    if report.kind == ROLLBACK:
        return True
    if report.to_version is None:
        return False
    return Version.parse(report.to_version) < Version.parse(report.from_version)
