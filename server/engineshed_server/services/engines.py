"""Engines as operators see them: the list, one with its attempts and orders, and revocation.

What an engine runs and does is known from its polls and from its final reports: the later word counts. A
report ends an attempt, so the updater is shown idle from then on, and not in the state of the poll before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.protocol import Attributes, Step
from engineshed_packages.target import UPDATER_PRODUCT
from engineshed_server.db import engines, orders, reports
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.filters import EVERY_ENGINE, EngineFilter
from engineshed_server.domain.newest import newest_for
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services.portal import Portal

MAX_LIMIT = 1000
SHOWN_ATTEMPTS = 20
SHOWN_ORDERS = 20
STATES, WAITING = engines.STATES, engines.WAITING
IDLE = "IDLE"  # the updater's state between two attempts, as polls name it


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLine:
    """One engine in a list.

    Attributes:
        state: ``waiting``, ``enrolled``, ``rejected`` or ``revoked``.
        enrolled: when it joined, the last time. address: from where its last poll came, or it joined.
        version, updater_state: by the later of its last poll and its last report.
        seen: its last poll; with ``updater_state``, ``updater_version``, ``health`` None before the first.
        two_hosts: more than one host polls with this identity, as when a machine was copied.
        two_hosts_since: when that was first seen of this identity.
    """

    engine_id: str
    product: str
    platform: str
    group: str
    channel: str
    host_name: str
    version: str | None
    state: str
    enrolled: datetime
    seen: datetime | None
    updater_state: str | None
    updater_version: str | None
    health: str | None
    address: str | None
    two_hosts: bool
    two_hosts_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One final report; ``started`` and ``ended`` by the engine's clock, ``received`` by ours.

    ``product`` is the updater's when it tried to update itself.
    """

    attempt: str
    kind: str
    order: str | None
    outcome: str
    code: str
    message: str
    from_version: str | None
    to_version: str | None
    version: str | None
    started: datetime
    ended: datetime
    received: datetime
    steps: tuple[Step, ...]
    update_log: tuple[str, ...]
    engine_log: tuple[str, ...]
    product: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One order.

    Attributes:
        seq: None until the engine has polled for it.
        state: open, answered, refused, superseded or expired.
        answer: the code of the report that closed it, or why there is none.
        product: the updater's, when it is about that; None when it is about the engine.
        origin: ``portal`` for one that follows from a release, ``admin`` for one that was given.
    """

    order: str
    engine: str
    seq: int | None
    do: str
    version: str | None
    state: str
    issued: datetime
    accept_before: datetime
    closed: datetime | None
    answer: str | None
    origin: str
    given_by: str
    message: str
    although_held: bool
    product: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLine:
    """A host that polled as an engine within an hour before its last poll.

    Attributes:
        host_name, address: as it said and as it was seen; None when that is not known.
        first, last: its first and last poll in that time.
    """

    host_name: str | None
    address: str | None
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDetail:
    """One engine with its last attempts and orders, newest first.

    Attributes:
        revision: counts the edits of group, channel, hold and notes.
        hold_reason: why it is offered nothing by itself, None when it is. notes: what people write of it.
        revoked: when it was.
        token: id of the enrolment token it joined with last, None when that was long ago.
        hosts: who polled as it lately; several where ``line.two_hosts``, unless they look alike.
        updater_newest: the newest updater it may install; None when none is published.
        attributes: what its updater last said of the host, None before the first time.
    """

    line: EngineLine
    revision: int
    token: str | None
    hold_reason: str | None
    notes: str
    revoked: datetime | None
    hosts: tuple[HostLine, ...]
    attributes: Attributes | None
    attempts: tuple[AttemptLine, ...]
    orders: tuple[OrderLine, ...]
    updater_newest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePage:
    """Some engines by id; ``next_cursor`` is None on the last page."""

    engines: tuple[EngineLine, ...]
    next_cursor: str | None


def installed_version(engine: engines.EngineRecord) -> str | None:
    """The version the engine runs, by the later of its last poll and its last report."""
    presence = engine.presence
    return presence.version if presence is not None and _counts(presence, engine) else engine.version


def _counts(presence: engines.Presence, engine: engines.EngineRecord) -> bool:
    """Whether the last poll came after the last report."""
    return presence.seen >= engine.version_at


def _updater_state(engine: engines.EngineRecord) -> str | None:
    presence = engine.presence
    if presence is None:
        return None
    return presence.updater_state if _counts(presence, engine) else IDLE


def list_engines(
    portal: Portal,
    wanted: EngineFilter = EVERY_ENGINE,
    *,
    limit: int = 100,
    cursor: str | None = None,
) -> EnginePage:
    """A page of the engines that *wanted* lets through; *cursor* is the ``next_cursor`` of the page before.

    Raises:
        Refused: code ``page-limit``.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise Refused("page-limit", f"found limit {limit}, expected 1 to {MAX_LIMIT}")
    with portal.database.read() as session:
        found = engines.list_engines(session, wanted, limit=limit + 1, after=cursor)
    page = tuple(_line(engine) for engine in found[:limit])
    return EnginePage(engines=page, next_cursor=page[-1].engine_id if len(found) > limit else None)


def show_engine(portal: Portal, engine_id: str) -> EngineDetail:
    """Everything known of one engine.

    Raises:
        NotFound: code ``engine-unknown``.
    """
    with portal.database.read() as session:
        engine = engines.find_engine(session, engine_id)
        if engine is None:
            raise engine_unknown(engine_id)
        attempts = reports.list_reports(session, engine_id, limit=SHOWN_ATTEMPTS)
        given = orders.list_orders(session, engine_id, limit=SHOWN_ORDERS)
    said = None if engine.presence is None else engine.presence.attributes
    return EngineDetail(
        line=_line(engine),
        revision=engine.revision,
        token=engine.token_id,
        hold_reason=engine.hold_reason,
        notes=engine.notes,
        revoked=engine.revoked,
        hosts=tuple(
            HostLine(host_name=boot.host_name, address=boot.address, first=boot.first, last=boot.last)
            for boot in engine.boots.hosts()
        ),
        # Written by us from an Attributes: its texts were checked when they came.
        attributes=None if said is None else Attributes(**json.loads(said)),
        attempts=tuple(_attempt(report) for report in attempts),
        orders=tuple(order_line(order) for order in given),
        updater_newest=_updater_newest(portal, engine),
    )


def _updater_newest(portal: Portal, engine: engines.EngineRecord) -> str | None:
    candidates = portal.snapshot.current().candidates_of(UPDATER_PRODUCT)
    found = newest_for(candidates, platform=engine.platform, channel=engine.channel)
    return None if found is None else found.version.text


def revoke_engine(portal: Portal, engine_id: str, *, actor: Actor, now: datetime) -> bool:
    """Shut an engine out, in every process within one second; false when it was revoked already.

    Raises:
        NotFound: code ``engine-unknown``.
    """
    with portal.database.write() as session:
        engine = engines.lock_engine(session, engine_id)
        if engine is None:
            raise engine_unknown(engine_id)
        revoked = engine.state != engines.REVOKED and engines.move_engine(
            session, engine_id, before=engine.state, after=engines.REVOKED, now=now
        )
        if revoked:
            portal_rows.bump_generation(session)
            add_audit(
                session,
                "engine-revoked",
                subject=engine_id,
                actor=actor,
                now=now,
                before={"state": engine.state},
                after={"state": engines.REVOKED},
            )
    portal.snapshot.refresh()
    return revoked


def engine_unknown(engine_id: str) -> NotFound:
    """There is no engine of that id."""
    return NotFound("engine-unknown", f"there is no engine {engine_id[:40]!r}: see the list of engines")


def _line(engine: engines.EngineRecord) -> EngineLine:
    seen = engine.presence
    return EngineLine(
        engine_id=engine.engine_id,
        product=engine.product,
        platform=engine.platform,
        group=engine.group,
        channel=engine.channel,
        host_name=engine.host_name,
        version=installed_version(engine),
        state=engine.state,
        enrolled=engine.enrolled,
        seen=None if seen is None else seen.seen,
        updater_state=_updater_state(engine),
        updater_version=None if seen is None else seen.updater_version,
        health=None if seen is None else seen.health,
        address=engine.address if seen is None else seen.address,
        two_hosts=engine.boots.two_hosts,
        two_hosts_since=engine.two_hosts_since,
    )


def _attempt(report: reports.ReportRecord) -> AttemptLine:
    return AttemptLine(
        attempt=report.attempt,
        kind=report.kind,
        order=report.order_id,
        outcome=report.outcome,
        code=report.code,
        message=report.message,
        from_version=report.from_version,
        to_version=report.to_version,
        version=report.version,
        started=report.started,
        ended=report.ended,
        received=report.received,
        steps=tuple(Step.from_dict(step) for step in json.loads(report.steps)),
        update_log=report.update_log,
        engine_log=report.engine_log,
        product=report.product,
    )


def order_line(order: orders.OrderRecord) -> OrderLine:
    """*order* as operators see it."""
    return OrderLine(
        order=order.order_id,
        engine=order.engine_id,
        seq=order.seq,
        do=order.do,
        version=order.version,
        state=order.state,
        issued=order.issued,
        accept_before=order.accept_before,
        closed=order.closed,
        answer=order.answer,
        origin=order.origin,
        given_by=order.given_by,
        message=order.message,
        although_held=order.although_held,
        product=order.product,
    )
