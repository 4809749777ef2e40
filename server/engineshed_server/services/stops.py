"""Emergency stops, on and off: in force in every process within one second.

What a stop holds back is in ``domain.stops``. An engine that has accepted an order and has not stopped yet
polls once more before it does: it gets no order then, and turns back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.target import check_channel, check_product
from engineshed_server.db import engines
from engineshed_server.db import portal as portal_rows
from engineshed_server.db import stops as stop_rows
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.stops import StopRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.stops import Stop
from engineshed_server.errors import NotFound, format_boundary
from engineshed_server.services.pages import number_of
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.reasons import check_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StopChanged:
    """What became of turning a stop on or off.

    Attributes:
        record: the stop. changed: False when it was on already, with the reason it had.
        engines: how many enrolled engines it covers, or covered; 0 may be a misspelt name.
        others: the stops that are on beside it.
    """

    record: StopRecord
    changed: bool
    engines: int
    others: tuple[StopRecord, ...]


def turn_on(
    portal: Portal, *, product: str | None, channel: str | None, reason: str, actor: Actor, now: datetime
) -> StopChanged:
    """Begin an emergency stop; None for *product* or *channel* is all of them.

    Raises:
        Refused: codes ``reason-unreadable``, ``product-name``, ``channel-name``.
    """
    _check_scope(product, channel)
    stop = Stop(product=product, channel=channel, reason=check_reason(reason))
    changed = run_again_when_raced(lambda: _turn_on(portal, stop, actor=actor, now=now))
    portal.snapshot.refresh()
    return changed


def turn_off(
    portal: Portal, *, product: str | None, channel: str | None, reason: str, actor: Actor, now: datetime
) -> StopChanged:
    """End the emergency stop of exactly that scope.

    Raises:
        Refused: as ``turn_on``. NotFound: code ``stop-unknown``: none such is on; those that are, are named.
    """
    _check_scope(product, channel)
    why = check_reason(reason)
    with portal.database.write() as session:
        record = stop_rows.find_stop(session, product, channel)
        if record is None or not stop_rows.end_stop(session, product, channel, now=now):
            raise _unknown(session, product, channel)
        _audit(session, "emergency-stop-off", record.stop, actor=actor, now=now, why=why)
        portal_rows.bump_generation(session)
        result = _told(session, record, changed=True)
    portal.snapshot.refresh()
    return result


def list_stops(portal: Portal) -> tuple[StopRecord, ...]:
    """All stops that are on, the oldest first."""
    with portal.database.read() as session:
        return stop_rows.list_stops(session)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPage:
    """Some of the stops that are on; ``next_cursor`` is None on the last page."""

    stops: tuple[StopRecord, ...]
    next_cursor: str | None


def page_stops(portal: Portal, *, limit: int, cursor: str | None) -> StopPage:
    """A page of the stops that are on, the oldest first; there are seldom more than a few.

    Raises:
        Refused: code ``page-place``.
    """
    after = 0 if cursor is None else number_of(cursor)
    found = [one for one in list_stops(portal) if one.stop_id > after]
    page = tuple(found[:limit])
    return StopPage(stops=page, next_cursor=str(page[-1].stop_id) if len(found) > limit else None)


def _turn_on(portal: Portal, stop: Stop, *, actor: Actor, now: datetime) -> StopChanged:
    with portal.database.write() as session:
        before = stop_rows.find_stop(session, stop.product, stop.channel)
        if before is not None:
            return _told(session, before, changed=False)
        record = stop_rows.add_stop(session, stop, by=actor.name, now=now)
        _audit(session, "emergency-stop-on", stop, actor=actor, now=now, why=stop.reason)
        portal_rows.bump_generation(session)
        return _told(session, record, changed=True)


def _told(session: Session, record: StopRecord, *, changed: bool) -> StopChanged:
    product, channel = record.stop.product, record.stop.channel
    return StopChanged(
        record=record,
        changed=changed,
        engines=stop_rows.count_engines(session, product, channel, state=engines.ENROLLED),
        others=tuple(one for one in stop_rows.list_stops(session) if one.stop.scope != record.stop.scope),
    )


def _audit(session: Session, action: str, stop: Stop, *, actor: Actor, now: datetime, why: str) -> None:
    details: Details = {"product": stop.product, "channel": stop.channel, "reason": why}
    is_on = action == "emergency-stop-on"
    add_audit(
        session,
        action,
        subject=stop.scope,
        actor=actor,
        now=now,
        details=details,
        before={"on": not is_on},
        after={"on": is_on},
    )


def _check_scope(product: str | None, channel: str | None) -> None:
    with format_boundary():
        if product is not None:
            check_product(product)
        if channel is not None:
            check_channel(channel)


def _unknown(session: Session, product: str | None, channel: str | None) -> NotFound:
    wanted = Stop(product=product, channel=channel, reason="").scope
    on = "; ".join(one.stop.scope for one in stop_rows.list_stops(session)) or "none"
    return NotFound("stop-unknown", f"no emergency stop is on for {wanted}; on are: {on}")
