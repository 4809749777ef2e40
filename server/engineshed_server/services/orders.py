"""Orders of the portal itself: the one that stands, made when a release is new, sent unchanged.

An administrator's order is never superseded by one of these: it is what stands, see ``given_orders``.

``seq`` is the higher of what is stored and what the engine reported, plus one: a database restored from a
backup never sends a number the engine has already accepted. What is reported is believed within bounds:
one poll with a stolen token must not use up the numbers, beyond which no order can be read. An order the
engine refused is not made anew for an hour: both sides would only fill their logs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import MAX_INTEGER, Json
from engineshed_packages.orders import INSTALL, Order, Package, sign_order
from engineshed_packages.protocol import Poll
from engineshed_packages.target import UPDATER_PRODUCT, Target
from engineshed_server.db import configurations, engines, orders
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import Conflict, NotAuthenticated, Refused
from engineshed_server.services.access import check_not_barred, refuse_waiting
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.signing import get_signing, known_keyids

PORTAL = Actor("portal")  # gives the orders that follow from a poll
ACCEPT_WITHIN = timedelta(days=7)
REFUSED_RESTS_FOR = timedelta(hours=1)
MAX_SEQ_AHEAD = 1_000_000  # more orders than one engine gets between two backups, however old


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What became of an offer.

    Attributes:
        envelope: the order to send; None when the engine refused such an order a short time ago.
        refused: the code of that refusal.
        given: an administrator's order stands, and nothing is offered beside it.
    """

    envelope: Mapping[str, Json] | None
    refused: str | None = None
    given: bool = False


def claim_order(portal: Portal, poll: Poll, *, target: Target, now: datetime) -> Claim:
    """The order that lets the polling engine, or its updater, install *target*: one that stands or a new one.

    Raises:
        NotAuthenticated: code ``engine-revoked``, ``engine-rejected`` or ``engine-unknown``.
        NotAllowed: code ``engine-waiting``: it is not approved yet.
        Conflict: code ``engine-other-kind``: the poll names another product or platform than was enrolled.
        Refused: code ``seq-implausible``: the poll reports a ``seq`` this portal can hardly have given.
        KeyMissing: code ``order-key-missing``. TryLater: the database is away.
    """
    # Most polls of a fleet that is being updated come for an order that already stands: no writer needed.
    keyids = known_keyids(portal, poll.engine)
    with portal.database.read() as session:
        standing = _find_standing(session, poll, target=target, keyids=keyids, now=now)
    if standing is not None:
        return standing
    return run_again_when_raced(lambda: _claim_new(portal, poll, target=target, now=now))


def find_standing_sha256(portal: Portal, engine_id: str) -> str | None:
    """SHA-256 of the package the engine's open order installs, None without one."""
    with portal.database.read() as session:
        order = orders.find_open_order(session, engine_id)
    return None if order is None else order.sha256


def _find_standing(
    session: Session, poll: Poll, *, target: Target, keyids: frozenset[str], now: datetime
) -> Claim | None:
    order = orders.find_open_order(session, poll.engine, product=product_of(target))
    if order is not None and order.origin == orders.ADMIN:
        return Claim(envelope=None, given=True)
    if order is not None and order.sha256 == target.sha256 and order.do == INSTALL:
        envelope = standing_envelope(order, poll, keyids=keyids, now=now)
        return None if envelope is None else Claim(envelope=envelope)
    refused = orders.find_last_refused(
        session, poll.engine, sha256=target.sha256, since=now - REFUSED_RESTS_FOR
    )
    return None if refused is None else Claim(envelope=None, refused=refused.answer)


def standing_envelope(
    order: orders.OrderRecord, poll: Poll, *, keyids: frozenset[str], now: datetime
) -> Mapping[str, Json] | None:
    """The envelope of an open order as it was sent before; None when the engine cannot accept that any more.

    An engine at work on it has accepted it already: it needs the same one again, however late. To an idle
    one that has accepted a later number it would be a replay; and it must know the key that signed it, one
    of *keyids*.
    """
    if order.envelope is None or order.seq is None:
        return None
    if poll.attempt is None:
        is_replay = poll.seq > order.seq
        if now >= order.accept_before or is_replay or order.keyid not in keyids:
            return None
    envelope: Mapping[str, Json] = json.loads(order.envelope)
    return envelope


def _claim_new(portal: Portal, poll: Poll, *, target: Target, now: datetime) -> Claim:
    with portal.database.write() as session:
        engine = check_engine(engines.lock_engine(session, poll.engine), poll)
        known = configurations.get_configuration(session, engine.configuration)
        standing = _find_standing(session, poll, target=target, keyids=known.keyids, now=now)
        if standing is not None:
            return standing
        before = orders.find_open_order(session, poll.engine, product=product_of(target))
        if before is not None:
            orders.supersede_order(session, before, now=now)
        signing = get_signing(portal, known, engine_id=poll.engine)
        seq = next_seq(poll, stored=orders.highest_seq(session, poll.engine, keyid=signing.keyid))
        order = _order(portal, poll.engine, target=target, seq=seq, now=now)
        envelope = sign_order(order, signing.signer)
        orders.add_order(session, _record(order, target, keyid=signing.keyid, envelope=envelope))
        details: Details = {"engine": poll.engine, "seq": seq, "path": target.path}
        add_audit(session, "order-issued", subject=order.id, actor=PORTAL, now=now, details=details)
    return Claim(envelope=envelope)


def next_seq(poll: Poll, *, stored: int) -> int:
    """The number of the engine's next order; *stored* is the highest it was given under the same key.

    Raises:
        Refused: as ``claim_order``.
    """
    seq = max(stored, poll.seq) + 1
    if poll.seq > stored + MAX_SEQ_AHEAD or seq > MAX_INTEGER:
        raise Refused(
            "seq-implausible",
            f"engine {poll.engine} reports seq {poll.seq}, this portal gave it at most {stored}: another "
            "program polls in its name, or the portal lost its orders; revoke the engine and enrol it anew",
        )
    return seq


def check_engine(engine: engines.EngineRecord | None, poll: Poll) -> engines.EngineRecord:
    """Return the engine that polls when it is enrolled, as what it says it is.

    Raises:
        NotAuthenticated, Conflict: as ``claim_order``.
    """
    if engine is None:
        raise NotAuthenticated("engine-unknown", f"engine {poll.engine} is not enrolled on this portal")
    check_not_barred(poll.engine, engine.state)
    if engine.state == engines.WAITING:
        raise refuse_waiting(poll.engine)
    if (engine.product, engine.platform) != (poll.product, poll.platform):
        raise Conflict(
            "engine-other-kind",
            f"engine {poll.engine} is enrolled as {engine.product} for {engine.platform}, "
            f"its poll says {poll.product} for {poll.platform}: enrol it anew",
        )
    return engine


def _order(portal: Portal, engine_id: str, *, target: Target, seq: int, now: datetime) -> Order:
    return Order(
        portal=portal.identity.portal_id,
        engine=engine_id,
        id=new_id("ord"),
        seq=seq,
        issued=now,
        accept_before=now + ACCEPT_WITHIN,
        do=INSTALL,
        package=package_of(target),
    )


def product_of(target: Target) -> str | None:
    """The product as an order's row has it: the updater's, None for an engine's."""
    return UPDATER_PRODUCT if target.product == UPDATER_PRODUCT else None


def package_of(target: Target) -> Package:
    """The package of *target* as an order names it."""
    return Package(
        path=target.path, length_bytes=target.length_bytes, sha256=target.sha256, version=target.version
    )


def _record(order: Order, target: Target, *, keyid: str, envelope: Mapping[str, Json]) -> orders.OrderRecord:
    return orders.OrderRecord(
        order_id=order.id,
        engine_id=order.engine,
        keyid=keyid,
        seq=order.seq,
        do=order.do,
        version=target.version.text,
        sha256=target.sha256,
        state=orders.OPEN,
        envelope=json.dumps(envelope),
        issued=order.issued,
        accept_before=order.accept_before,
        closed=None,
        answer=None,
        product=product_of(target),
    )
