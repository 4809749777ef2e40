"""The poll: what an engine should do now, and why.

A poll without news is answered from memory: no SQL. Only when ``decide`` offers something is the database
asked, in one transaction, for the order that stands or a new one. A release that is withdrawn, on hold or
covered by an emergency stop is not in the decision any more, and so its order is not sent again: the engine,
which polls once more before it stops, goes on only when it is handed the same order.

An administrator's order comes before whatever ``decide`` would offer, until it is closed. Engines for which
one is open are in the snapshot: for all others nothing is asked of the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from engineshed_packages.jsontext import Json
from engineshed_packages.orders import CONFIGURE
from engineshed_packages.protocol import Poll, PollAnswer
from engineshed_packages.target import UPDATER_PRODUCT
from engineshed_packages.versions import Version
from engineshed_server.db import engines, orders
from engineshed_server.db.orders import open_place
from engineshed_server.domain.decide import Decision, EngineFacts, decide
from engineshed_server.domain.newest import parsed
from engineshed_server.domain.orders import ORDERED, decide_given, has_lapsed
from engineshed_server.errors import KeyMissing, NotAllowed, NotAuthenticated
from engineshed_server.services.access import check_not_barred
from engineshed_server.services.configuring import claim_configuration
from engineshed_server.services.engine_facts import find_facts
from engineshed_server.services.engines import engine_unknown
from engineshed_server.services.given_orders import (
    claim_given,
    close_unsent,
    find_given,
    given_of,
)
from engineshed_server.services.orders import claim_order, find_standing_sha256
from engineshed_server.services.portal import Portal
from engineshed_server.services.snapshot import Snapshot, load_snapshot

ORDER_RESTS = "order-rests"
CONFIGURE_TEXT = "the portal's order keys or addresses have changed"
MAX_TEXT_CHARS = 500


def answer(
    portal: Portal, engine_id: str, *, poll: Poll, now: datetime, address: str | None = None
) -> PollAnswer:
    """Answer the poll of the engine whose token was verified; it came from *address*.

    One that waits for approval is seen like any other, and told so.

    Raises:
        NotAllowed: code ``engine-mismatch``: the poll is another engine's.
        NotAuthenticated, Conflict, TryLater: as ``claim_order``, only when there is something new.
    """
    quiet = answer_without_news(portal, engine_id, poll=poll, now=now, address=address)
    if quiet is not None:
        return quiet
    snapshot = portal.snapshot.current()
    try:
        return _answer_news(portal, poll, snapshot=snapshot, now=now)
    except KeyMissing as err:
        # Nothing can be signed for it, and it is well without: this is no trouble of the engine.
        return _say(portal, snapshot, code=err.code, text=err.message, now=now)


def _answer_news(portal: Portal, poll: Poll, *, snapshot: Snapshot, now: datetime) -> PollAnswer:
    engine_id = poll.engine
    facts = _facts(snapshot, engine_id, poll=poll)
    if _is_behind(snapshot, poll):
        envelope = claim_configuration(portal, poll, now=now)
        if envelope is not None:
            return _say(portal, snapshot, code=CONFIGURE, text=CONFIGURE_TEXT, now=now, envelope=envelope)
    if engine_id in snapshot.ordered:
        said = _answer_given(portal, poll, facts, snapshot=snapshot, now=now)
        if said is not None:
            return said
    own = _own_facts(snapshot, poll)
    if own is not None:
        said = _answer_updater(portal, poll, own, snapshot=snapshot, now=now)
        if said is not None:
            return said
    decision = snapshot.decide(facts, now=now)
    if poll.attempt is not None:
        decision = _keep_to_the_attempt(
            portal, facts, snapshot=snapshot, newest=decision, engine_id=engine_id, now=now
        )
    if decision.target is None:  # what was new has gone in this moment
        return _say(portal, snapshot, code=decision.code, text=decision.text, now=now)
    claim = claim_order(portal, poll, target=decision.target, now=now)
    if claim.given:  # in this moment, and this process has not heard of it
        said = _answer_given(portal, poll, facts, snapshot=snapshot, now=now)
        if said is not None:
            return said
    if claim.envelope is None:
        text = f"{decision.text}, but the engine refused that order ({claim.refused}): it rests for an hour"
        return _say(portal, snapshot, code=ORDER_RESTS, text=text, now=now)
    return _say(portal, snapshot, code=decision.code, text=decision.text, now=now, envelope=claim.envelope)


def _answer_updater(
    portal: Portal, poll: Poll, own: EngineFacts, *, snapshot: Snapshot, now: datetime
) -> PollAnswer | None:
    """The answer that gives the updater an order for itself; None when there is none to send.

    It comes before what the engine is offered: that may need the newer updater.
    """
    if open_place(poll.engine, UPDATER_PRODUCT) in snapshot.ordered:
        said = _answer_given(portal, poll, own, snapshot=snapshot, now=now, product=UPDATER_PRODUCT)
        if said is not None:
            return said if said.order is not None else None
    decision = snapshot.decide(own, now=now)
    if decision.target is None:
        return None
    claim = claim_order(portal, poll, target=decision.target, now=now)
    if claim.envelope is None:
        return None
    return _say(portal, snapshot, code=decision.code, text=decision.text, now=now, envelope=claim.envelope)


def _answer_given(
    portal: Portal,
    poll: Poll,
    facts: EngineFacts,
    *,
    snapshot: Snapshot,
    now: datetime,
    product: str | None = None,
) -> PollAnswer | None:
    """The answer when an administrator's order stands for the engine, or for its updater; else None."""
    record = find_given(portal, poll.engine, product=product)
    if record is None:
        return None
    given = given_of(record)
    if has_lapsed(given, at_work=poll.attempt is not None, now=now):
        close_unsent(portal, record, state=orders.EXPIRED, answer="expired", now=now)
        return None
    if poll.capabilities and given.do not in poll.capabilities:
        close_unsent(portal, record, state=orders.REFUSED, answer="engine-cannot", now=now)
        return None
    candidates = snapshot.candidates_of(facts.product)
    decision = decide_given(given, facts, candidates, stops=snapshot.stops, now=now)
    envelope = claim_given(portal, poll, record, now=now) if decision.code == ORDERED else None
    return _say(portal, snapshot, code=decision.code, text=decision.text, now=now, envelope=envelope)


def answer_without_news(
    portal: Portal, engine_id: str, *, poll: Poll, now: datetime, address: str | None = None
) -> PollAnswer | None:
    """Answer the poll from memory when there is nothing to do; None when there is: ``answer`` knows what.

    Raises:
        NotAllowed: code ``engine-mismatch``: the poll is another engine's.
    """
    if poll.engine != engine_id:
        raise NotAllowed(
            "engine-mismatch",
            f"the token is of engine {engine_id}, the poll of {poll.engine}: send its own token",
        )
    portal.presence.note(poll, now=now, address=address)
    snapshot = portal.snapshot.current()
    facts = _facts(snapshot, engine_id, poll=poll)
    if not facts.waits and (engine_id in snapshot.ordered or _is_behind(snapshot, poll)):
        return None
    own = _own_facts(snapshot, poll)
    if own is not None and not facts.waits and _has_own_news(snapshot, own, engine_id, now=now):
        return None
    decision = snapshot.decide(facts, now=now)
    if decision.target is not None:
        return None
    return _say(portal, snapshot, code=decision.code, text=decision.text, now=now)


def _is_behind(snapshot: Snapshot, poll: Poll) -> bool:
    """Whether the engine is to be told of other keys or addresses; one at work is left to it first."""
    return poll.engine in snapshot.behind and poll.attempt is None


def _own_facts(snapshot: Snapshot, poll: Poll) -> EngineFacts | None:
    """The updater as something to be updated; None when it cannot be now, or nothing of it is published."""
    if not poll.renews or poll.attempt is not None or not snapshot.candidates_of(UPDATER_PRODUCT):
        return None
    version = _parsed(poll.updater_version)
    if version is None:
        return None
    return replace(_facts(snapshot, poll.engine, poll=poll), product=UPDATER_PRODUCT, version=version)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Version | None:
    return parsed(text)


def _has_own_news(snapshot: Snapshot, own: EngineFacts, engine_id: str, *, now: datetime) -> bool:
    if open_place(engine_id, UPDATER_PRODUCT) in snapshot.ordered:
        return True
    return snapshot.decide(own, now=now).target is not None


def _facts(snapshot: Snapshot, engine_id: str, *, poll: Poll) -> EngineFacts:
    return EngineFacts(
        product=poll.product,
        platform=poll.platform,
        version=poll.version,
        channel=snapshot.channel_of(engine_id),
        skipped=poll.skipped,
        waits=snapshot.state_of(engine_id) == engines.WAITING,
        hold_reason=snapshot.holds.get(engine_id),
    )


def explain(portal: Portal, engine_id: str, *, now: datetime) -> Decision:
    """What the engine's next poll would be answered, with a reason for every release considered.

    Reads the database and not a process' memory: it is run from a command line, too.

    Raises:
        NotFound: code ``engine-unknown``.
    """
    snapshot = load_snapshot(portal.database, repository=portal.repository)
    with portal.database.read() as session:
        engine = engines.find_engine(session, engine_id)
        if engine is None:
            raise engine_unknown(engine_id)
        candidates = snapshot.candidates_of(engine.product)
        facts = find_facts(session, engine, candidates)
        record = orders.find_open_order(session, engine_id)
    by_itself = decide(facts, candidates, stops=snapshot.stops, now=now)
    try:
        check_not_barred(engine_id, engine.state)
    except NotAuthenticated as err:
        return replace(by_itself, code=err.code, text=err.message, target=None)
    if record is None or record.origin != orders.ADMIN or facts.waits:
        return by_itself
    given = given_of(record)
    at_work = engine.presence is not None and engine.presence.attempt is not None
    if has_lapsed(given, at_work=at_work, now=now):
        return by_itself
    ordered = decide_given(given, facts, candidates, stops=snapshot.stops, now=now)
    return replace(ordered, reasons=(*ordered.reasons, *by_itself.reasons))


def _keep_to_the_attempt(
    portal: Portal, facts: EngineFacts, *, snapshot: Snapshot, newest: Decision, engine_id: str, now: datetime
) -> Decision:
    """While an engine is at work on a release that still fits, a newer one waits for its turn."""
    sha256 = find_standing_sha256(portal, engine_id)
    own = [one for one in snapshot.candidates_of(facts.product) if one.target.sha256 == sha256]
    standing = decide(facts, own, stops=snapshot.stops, now=now)
    return newest if standing.target is None else standing


def _say(
    portal: Portal,
    snapshot: Snapshot,
    *,
    code: str,
    text: str,
    now: datetime,
    envelope: Mapping[str, Json] | None = None,
) -> PollAnswer:
    return PollAnswer(
        server_time=now,
        code=code,
        text=text[:MAX_TEXT_CHARS],
        poll_s=portal.settings.poll_s,
        timestamp_version=snapshot.timestamp_version,
        order=envelope,
    )
