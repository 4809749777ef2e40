"""The poll: what an engine should do now, and why.

A poll without news is answered from memory: no SQL. Only when ``decide`` offers something is the database
asked, in one transaction, for the order that stands or a new one. A release that is withdrawn, on hold or
covered by an emergency stop is not in the decision any more, and so its order is not sent again: the engine,
which polls once more before it stops, goes on only when it is handed the same order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from engineshed_packages.protocol import ROLLBACK, Outcome, Poll, PollAnswer, Skipped
from engineshed_packages.versions import Version
from engineshed_server.db import engines, reports
from engineshed_server.domain.decide import Candidate, Decision, EngineFacts, decide
from engineshed_server.errors import NotAllowed, NotFound
from engineshed_server.services.engines import SHOWN_ATTEMPTS, installed_version
from engineshed_server.services.orders import claim_order, find_standing_sha256
from engineshed_server.services.portal import Portal
from engineshed_server.services.snapshot import Snapshot, load_snapshot

ORDER_RESTS = "order-rests"
MAX_TEXT_CHARS = 500


def answer(portal: Portal, engine_id: str, *, poll: Poll, now: datetime) -> PollAnswer:
    """Answer the poll of the engine whose token was verified.

    Raises:
        NotAllowed: code ``engine-mismatch``: the poll is another engine's.
        NotAuthenticated, Conflict, TryLater: as ``claim_order``, only when there is something new.
    """
    quiet = answer_without_news(portal, engine_id, poll=poll, now=now)
    if quiet is not None:
        return quiet
    snapshot = portal.snapshot.current()
    facts = _facts(snapshot, engine_id, poll=poll)
    decision = snapshot.decide(facts, now=now)
    if poll.attempt is not None:
        decision = _keep_to_the_attempt(
            portal, facts, snapshot=snapshot, newest=decision, engine_id=engine_id, now=now
        )
    if decision.target is None:  # what was new has gone in this moment
        return _say(portal, snapshot, code=decision.code, text=decision.text, now=now)
    claim = claim_order(portal, poll, target=decision.target, now=now)
    if claim.envelope is None:
        text = f"{decision.text}, but the engine refused that order ({claim.refused}): it rests for an hour"
        return _say(portal, snapshot, code=ORDER_RESTS, text=text, now=now)
    said = _say(portal, snapshot, code=decision.code, text=decision.text, now=now)
    return PollAnswer(
        server_time=said.server_time,
        code=said.code,
        text=said.text,
        poll_s=said.poll_s,
        timestamp_version=said.timestamp_version,
        order=claim.envelope,
    )


def answer_without_news(portal: Portal, engine_id: str, *, poll: Poll, now: datetime) -> PollAnswer | None:
    """Answer the poll from memory when there is nothing to do; None when there is: ``answer`` knows what.

    Raises:
        NotAllowed: code ``engine-mismatch``: the poll is another engine's.
    """
    if poll.engine != engine_id:
        raise NotAllowed("engine-mismatch", f"the token is of engine {engine_id}, the poll of {poll.engine}")
    portal.presence.note(poll, now=now)
    snapshot = portal.snapshot.current()
    decision = snapshot.decide(_facts(snapshot, engine_id, poll=poll), now=now)
    if decision.target is not None:
        return None
    return _say(portal, snapshot, code=decision.code, text=decision.text, now=now)


def _facts(snapshot: Snapshot, engine_id: str, *, poll: Poll) -> EngineFacts:
    return EngineFacts(
        product=poll.product,
        platform=poll.platform,
        version=poll.version,
        channel=snapshot.channel_of(engine_id),
        skipped=poll.skipped,
    )


def explain(portal: Portal, engine_id: str, *, now: datetime) -> Decision:
    """What the engine's next poll would be answered, with a reason for every release considered.

    Reads the database and not a process' memory: it is run from a command line, too.

    Raises:
        NotFound: code ``engine-unknown``.
    """
    with portal.database.read() as session:
        engine = engines.find_engine(session, engine_id)
        told = reports.list_reports(session, engine_id, limit=SHOWN_ATTEMPTS)
    if engine is None:
        raise NotFound("engine-unknown", f"there is no engine {engine_id[:40]!r}")
    snapshot = load_snapshot(portal.database, repository=portal.repository)
    candidates = snapshot.candidates_of(engine.product)
    version = installed_version(engine)
    facts = EngineFacts(
        product=engine.product,
        platform=engine.platform,
        version=None if version is None else Version.parse(version),
        channel=engine.channel,
        skipped=_skipped(engine, told, candidates),
    )
    return decide(facts, candidates, stops=snapshot.stops, now=now)


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
        if report.kind == ROLLBACK and report.outcome == Outcome.OK:
            # Such a report names the version that was left, and not its package.
            for target in (one.target for one in candidates):
                if target.version.text == report.from_version:
                    skipped[target.sha256] = Skipped(version=target.version, sha256=target.sha256)
        elif report.sha256 is None or report.to_version is None:
            continue
        elif report.outcome == Outcome.OK:
            skipped.pop(report.sha256, None)
        elif report.outcome in (Outcome.ROLLED_BACK, Outcome.BROKEN):
            version = Version.parse(report.to_version)
            skipped[report.sha256] = Skipped(version=version, sha256=report.sha256)
    return tuple(skipped.values())


def _keep_to_the_attempt(
    portal: Portal, facts: EngineFacts, *, snapshot: Snapshot, newest: Decision, engine_id: str, now: datetime
) -> Decision:
    """While an engine is at work on a release that still fits, a newer one waits for its turn."""
    sha256 = find_standing_sha256(portal, engine_id)
    own = [one for one in snapshot.candidates_of(facts.product) if one.target.sha256 == sha256]
    standing = decide(facts, own, stops=snapshot.stops, now=now)
    return newest if standing.target is None else standing


def _say(portal: Portal, snapshot: Snapshot, *, code: str, text: str, now: datetime) -> PollAnswer:
    return PollAnswer(
        server_time=now,
        code=code,
        text=text[:MAX_TEXT_CHARS],
        poll_s=portal.settings.poll_s,
        timestamp_version=snapshot.timestamp_version,
    )
