"""Engines are brought to the current configuration: a ``configure`` order for each that is behind.

It is made at the engine's own poll, while it is idle, and comes before any other order: those it is given
afterwards are signed with keys that it then knows. It has a place of its own beside the one open order, and
takes nothing from that. An engine that refuses it, or cannot do it, is left at what it knows for an hour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_packages.orders import CONFIGURE, Order, sign_order
from engineshed_packages.protocol import Poll
from engineshed_server.db import configurations, engines, orders
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.configurations import Configuration
from engineshed_server.services.orders import (
    ACCEPT_WITHIN,
    PORTAL,
    REFUSED_RESTS_FOR,
    check_engine,
    next_seq,
    standing_envelope,
)
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.signing import get_signing, known_keyids


def claim_configuration(portal: Portal, poll: Poll, *, now: datetime) -> Mapping[str, Json] | None:
    """The order that brings the polling engine to the current configuration; None when there is none to send.

    Raises:
        NotAuthenticated, Conflict, Refused, TryLater: as ``orders.claim_order``.
    """
    current = portal.configuration
    keyids = known_keyids(portal, poll.engine)
    with portal.database.read() as session:
        if _rests(session, poll, current, now=now):
            return None
        standing = _find_standing(session, poll, current, keyids=keyids, now=now)
    if standing is not None:
        return standing
    return run_again_when_raced(lambda: _claim(portal, poll, current, now=now))


def _rests(session: Session, poll: Poll, current: Configuration, *, now: datetime) -> bool:
    """Whether the engine cannot do it, or has refused it a short time ago."""
    engine = engines.find_engine(session, poll.engine)
    can = poll.capabilities or (None if engine is None else engine.capabilities)
    if can is not None and CONFIGURE not in can:
        return True
    last = orders.find_last_configure(session, poll.engine, number=current.number)
    return (
        last is not None
        and last.state == orders.REFUSED
        and last.closed is not None
        and last.closed > now - REFUSED_RESTS_FOR
    )


def _find_standing(
    session: Session, poll: Poll, current: Configuration, *, keyids: frozenset[str], now: datetime
) -> Mapping[str, Json] | None:
    order = orders.find_open_configure(session, poll.engine)
    if order is None or order.configuration != current.number:
        return None
    return standing_envelope(order, poll, keyids=keyids, now=now)


def _claim(portal: Portal, poll: Poll, current: Configuration, *, now: datetime) -> Mapping[str, Json] | None:
    with portal.database.write() as session:
        engine = check_engine(engines.lock_engine(session, poll.engine), poll)
        known = configurations.get_configuration(session, engine.configuration)
        wanted = _wanted(portal, known, current)
        if wanted is None:
            if configurations.set_configuration(session, poll.engine, number=current.number):
                portal_rows.bump_generation(session)
            return None
        standing = _find_standing(session, poll, current, keyids=known.keyids, now=now)
        if standing is not None:  # another process was faster
            return standing
        before = orders.find_open_configure(session, poll.engine)
        if before is not None:
            orders.supersede_order(session, before, now=now)
        signing = get_signing(portal, known, engine_id=poll.engine)
        seq = next_seq(poll, stored=orders.highest_seq(session, poll.engine, keyid=signing.keyid))
        order = _order(portal, poll.engine, wanted, seq=seq, now=now)
        envelope = sign_order(order, signing.signer)
        orders.add_configure(session, _record(order, current, keyid=signing.keyid, envelope=envelope))
        details: Details = {"engine": poll.engine, "seq": seq, "configuration": current.number}
        add_audit(session, "order-issued", subject=order.id, actor=PORTAL, now=now, details=details)
    return envelope


def _wanted(portal: Portal, known: Configuration, current: Configuration) -> Configuration | None:
    """*current*, with portals only where they are to be changed; None when the engine has all of it."""
    public_url = portal.settings.public_url
    same = current.portals is None or current.portals == known.addresses(public_url)
    if same and known.keys == current.keys:
        return None
    return Configuration(
        number=current.number,
        active=current.active,
        standby=current.standby,
        portals=None if same else current.portals,
    )


def _order(portal: Portal, engine_id: str, wanted: Configuration, *, seq: int, now: datetime) -> Order:
    return Order(
        portal=portal.identity.portal_id,
        engine=engine_id,
        id=new_id("ord"),
        seq=seq,
        issued=now,
        accept_before=now + ACCEPT_WITHIN,
        do=CONFIGURE,
        next_keys=wanted.keys,
        next_portals=wanted.portals or (),
    )


def _record(
    order: Order, current: Configuration, *, keyid: str, envelope: Mapping[str, Json]
) -> orders.OrderRecord:
    return orders.OrderRecord(
        order_id=order.id,
        engine_id=order.engine,
        keyid=keyid,
        seq=order.seq,
        do=order.do,
        version=None,
        sha256=None,
        state=orders.OPEN,
        envelope=json.dumps(envelope),
        issued=order.issued,
        accept_before=order.accept_before,
        closed=None,
        answer=None,
        configuration=current.number,
    )
