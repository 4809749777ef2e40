"""Administrators' orders on their way: signed at the engine's first poll after they were given.

Until then an order has no number. So the number counts on from what the engine itself reports, the key is
the one that counts when it polls, and an order for ten thousand engines costs no signature when it is given.
Once signed it is sent unchanged; only one that the idle engine could not accept any more, because it took a
later one or because keys were changed, is signed anew under another id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_packages.orders import Order, sign_order
from engineshed_packages.protocol import Poll
from engineshed_server.db import configurations, engines, orders
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.orders import OrderRecord
from engineshed_server.domain.orders import Given
from engineshed_server.services.orders import PORTAL, check_engine, next_seq, standing_envelope
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.signing import get_signing, known_keyids


def find_given(portal: Portal, engine_id: str, *, product: str | None = None) -> OrderRecord | None:
    """The administrator's order that is open for the engine, or for its updater."""
    with portal.database.read() as session:
        record = orders.find_open_order(session, engine_id, product=product)
    return record if record is not None and record.origin == orders.ADMIN else None


def given_of(record: OrderRecord) -> Given:
    """*record* as the rules see it."""
    return Given(
        order_id=record.order_id,
        do=record.do,
        given_by=record.given_by,
        message=record.message,
        version=record.version,
        sha256=record.sha256,
        although_held=record.although_held,
        accept_before=record.accept_before,
    )


def claim_given(
    portal: Portal, poll: Poll, record: OrderRecord, *, now: datetime
) -> Mapping[str, Json] | None:
    """The envelope to send for the order that stands; None when it was closed in this moment.

    Raises:
        NotAuthenticated, Conflict, Refused, TryLater: as ``orders.claim_order``.
    """
    envelope = standing_envelope(record, poll, keyids=known_keyids(portal, poll.engine), now=now)
    if envelope is not None:
        return envelope
    return run_again_when_raced(lambda: _sign(portal, poll, record.order_id, product=record.product, now=now))


def close_unsent(portal: Portal, record: OrderRecord, *, state: str, answer: str, now: datetime) -> None:
    """Close an order that is not sent any more, because of its time or because the engine cannot do it."""
    with portal.database.write() as session:
        engines.lock_engine(session, record.engine_id)
        closed = orders.close_order(
            session, record.order_id, engine_id=record.engine_id, state=state, answer=answer, now=now
        )
        if closed:
            portal_rows.bump_generation(session)
            details: Details = {"engine": record.engine_id, "do": record.do, "answer": answer}
            add_audit(
                session, "order-closed", subject=record.order_id, actor=PORTAL, now=now, details=details
            )


def _sign(
    portal: Portal, poll: Poll, order_id: str, *, product: str | None, now: datetime
) -> Mapping[str, Json] | None:
    with portal.database.write() as session:
        engine = check_engine(engines.lock_engine(session, poll.engine), poll)
        known = configurations.get_configuration(session, engine.configuration)
        record = orders.find_open_order(session, poll.engine, product=product)
        if record is None or record.order_id != order_id or record.claims is None:
            return None
        envelope = standing_envelope(record, poll, keyids=known.keyids, now=now)
        if envelope is not None:  # another process was faster
            return envelope
        if record.envelope is not None:
            record = _begin_anew(session, record, now=now)
        signing = get_signing(portal, known, engine_id=poll.engine)
        seq = next_seq(poll, stored=orders.highest_seq(session, poll.engine, keyid=signing.keyid))
        assert record.claims is not None  # both have them
        order = replace(Order.from_bytes(record.claims.encode("utf-8")), seq=seq, id=record.order_id)
        signed = sign_order(order, signing.signer)
        orders.sign_order(session, order.id, keyid=signing.keyid, seq=seq, envelope=json.dumps(signed))
        details: Details = {"engine": poll.engine, "seq": seq, "do": order.do}
        add_audit(session, "order-issued", subject=order.id, actor=PORTAL, now=now, details=details)
    return signed


def _begin_anew(session: Session, record: OrderRecord, *, now: datetime) -> OrderRecord:
    """The same order under another id, without number and signature."""
    orders.close_order(
        session,
        record.order_id,
        engine_id=record.engine_id,
        state=orders.SUPERSEDED,
        answer="signed-anew",
        now=now,
    )
    again = replace(record, order_id=new_id("ord"), keyid=None, seq=None, envelope=None)
    orders.add_order(session, again)
    return again
