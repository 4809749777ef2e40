"""An administrator orders an engine to do something.

What cannot be done is refused here, with the rule that speaks against it, so that nobody waits for an
engine to say so. The order supersedes whatever is open for the engine, whoever gave it; it stands until it
is answered, superseded by another administrator's order, or has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.ids import new_id
from engineshed_packages.orders import CANCEL, INSTALL, RESTART, ROLLBACK, START, STOP, Order, Window
from engineshed_packages.target import UPDATER_PRODUCT
from engineshed_packages.versions import Version
from engineshed_server.db import engines, orders
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.orders import OrderRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.decide import Candidate, Reason
from engineshed_server.domain.orders import GIVEN_VERBS, RETRY, Wish, find_package
from engineshed_server.errors import Conflict, NotFound, Refused, ServerError
from engineshed_server.services.engine_facts import find_facts, find_updater_facts
from engineshed_server.services.engines import OrderLine, engine_unknown, order_line
from engineshed_server.services.orders import package_of
from engineshed_server.services.pages import moment_of, number_of
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.reasons import check_reason
from engineshed_server.services.snapshot import Snapshot, load_snapshot

ACCEPT_WITHIN_S = 7 * 86400
MAX_WITHIN_S = 366 * 86400
MIN_WITHIN_S = 60
MAX_ENGINES = 10_000  # of one call

_WHEN = frozenset({"window", "start_before"})
# What each verb may be given besides engine, message and time.
_TAKES = {
    INSTALL: frozenset({"version", "allow_downgrade", "although_held", "offline_start"}) | _WHEN,
    RETRY: frozenset({"version", "allow_downgrade", "although_held", "offline_start"}) | _WHEN,
    ROLLBACK: frozenset({"version", "offline_start"}) | _WHEN,
    STOP: _WHEN,
    RESTART: _WHEN,
    START: _WHEN,
    CANCEL: frozenset[str](),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What an administrator asks of an engine.

    Attributes:
        do: one of ``GIVEN_VERBS``.
        product: the updater's, when it is to install another version of itself; None for the engine.
        version: what to install, to retry, or the kept one to return to; None leaves the choice, but for an
            install.
        window: when the engine may be stopped. start_before: not later than then.
        accept_within_s: the order lapses when the engine has not taken it by then.
    """

    do: str
    product: str | None = None
    version: str | None = None
    allow_downgrade: bool = False
    although_held: bool = False
    offline_start: bool = False
    window: Window | None = None
    start_before: datetime | None = None
    accept_within_s: int = ACCEPT_WITHIN_S
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of an order for one engine of several: the order, or why there is none."""

    engine_id: str
    order: OrderRecord | None
    refusal: ServerError | None

    @property
    def line(self) -> OrderLine | None:
        """The order as operators see it."""
        return None if self.order is None else order_line(self.order)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """Some of an engine's orders, newest first; ``after`` is None on the last page."""

    orders: tuple[OrderLine, ...]
    after: tuple[str, str, str] | None


def give_order(portal: Portal, engine_id: str, ask: Ask, *, actor: Actor, now: datetime) -> OrderRecord:
    """Give the engine an order; in force at its next poll, in every process within one second.

    Raises:
        NotFound: ``engine-unknown``, ``release-unknown``.
        Conflict: ``engine-revoked``, ``engine-waiting``, ``engine-cannot``, or what speaks against the
            release: the codes of ``domain.orders.find_package``.
        Refused: ``order-senseless``, ``version-unreadable``, ``reason-unreadable``.
    """
    (answered,) = give_orders(portal, [engine_id], ask, actor=actor, now=now)
    if answered.refusal is not None:
        raise answered.refusal
    assert answered.order is not None
    return answered.order


def give_orders(
    portal: Portal, engine_ids: Sequence[str], ask: Ask, *, actor: Actor, now: datetime
) -> tuple[Answered, ...]:
    """Give each of several engines the order; one that is refused does not keep it from the others.

    Raises:
        Refused: ``order-senseless``, ``version-unreadable``, ``reason-unreadable``: none was given.
    """
    if len(engine_ids) > MAX_ENGINES:
        raise Refused("order-senseless", f"found {len(engine_ids)} engines, at most {MAX_ENGINES} at once")
    ask = _checked(ask, now=now)
    snapshot = load_snapshot(portal.database, repository=portal.repository)
    answered = []
    for engine_id in dict.fromkeys(engine_ids):
        try:
            give = partial(_give, portal, engine_id, ask, snapshot=snapshot, actor=actor, now=now)
            order = run_again_when_raced(give)
            answered.append(Answered(engine_id=engine_id, order=order, refusal=None))
        except (NotFound, Conflict) as err:
            answered.append(Answered(engine_id=engine_id, order=None, refusal=err))
    portal.snapshot.refresh()
    return tuple(answered)


def page_orders(portal: Portal, engine_id: str, *, limit: int, after: tuple[str, ...] | None) -> OrderPage:
    """A page of the engine's orders, newest first, from behind the place *after*.

    Raises:
        NotFound: code ``engine-unknown``. Refused: code ``page-place``.
    """
    place = None
    if after is not None:
        issued, seq, order_id = after
        place = orders.Place(issued=moment_of(issued), seq=number_of(seq), order_id=order_id)
    with portal.database.read() as session:
        if engines.find_engine(session, engine_id) is None:
            raise engine_unknown(engine_id)
        found = orders.list_orders(session, engine_id, limit=limit + 1, after=place)
    page = found[:limit]
    last = orders.place_of(page[-1]) if len(found) > limit else None
    return OrderPage(
        orders=tuple(order_line(one) for one in page),
        after=None if last is None else (last.issued.isoformat(), str(last.seq), last.order_id),
    )


def show_order(portal: Portal, order_id: str) -> OrderLine:
    """One order.

    Raises:
        NotFound: code ``order-unknown``.
    """
    with portal.database.read() as session:
        found = orders.find_order(session, order_id)
    if found is None:
        raise NotFound("order-unknown", f"there is no order {order_id[:40]!r}: see those of its engine")
    return order_line(found)


def list_group(portal: Portal, group: str) -> tuple[str, ...]:
    """Ids of the enrolled engines of a group.

    Raises:
        NotFound: code ``group-unknown``: it has none.
    """
    with portal.database.read() as session:
        found = engines.list_ids(session, group=group)
    if not found:
        raise NotFound("group-unknown", f"no enrolled engine is in a group {group[:80]!r}")
    return found


def _checked(ask: Ask, *, now: datetime) -> Ask:
    """*ask* when it makes sense for any engine."""
    takes = _TAKES.get(ask.do)
    if takes is None:
        raise Refused("order-senseless", f"{ask.do[:40]!r} is no order, known are: {', '.join(GIVEN_VERBS)}")
    for name in ("version", "allow_downgrade", "although_held", "offline_start", "window", "start_before"):
        if getattr(ask, name) not in (None, False) and name not in takes:
            raise Refused("order-senseless", f"an order to {ask.do} takes no {name}")
    if ask.product is not None and (ask.product != UPDATER_PRODUCT or ask.do not in (INSTALL, RETRY)):
        raise Refused(
            "order-senseless",
            f"found an order to {ask.do} {ask.product[:40]!r}, expected install or retry, {UPDATER_PRODUCT}",
        )
    if ask.do == INSTALL and ask.version is None:
        raise Refused("order-senseless", "an order to install needs the version")
    if not MIN_WITHIN_S <= ask.accept_within_s <= MAX_WITHIN_S:
        raise Refused(
            "order-senseless",
            f"found accept_within_s {ask.accept_within_s}, expected {MIN_WITHIN_S} to {MAX_WITHIN_S}",
        )
    latest = [moment for moment in (ask.start_before, ask.window and ask.window.closes) if moment]
    if any(moment <= now for moment in latest):
        raise Refused("order-senseless", "the window, or start_before, is over already")
    if ask.version is not None:
        _parse(ask.version)
    if ask.message:
        check_reason(ask.message)
    return ask


def _parse(version: str) -> Version:
    try:
        return Version.parse(version)
    except VersionUnreadable as err:
        raise Refused(err.code, err.message) from err


def _give(
    portal: Portal, engine_id: str, ask: Ask, *, snapshot: Snapshot, actor: Actor, now: datetime
) -> OrderRecord:
    with portal.database.write() as session:
        engine = engines.lock_engine(session, engine_id)
        if engine is None:
            raise engine_unknown(engine_id)
        _check_engine(engine, ask)
        package = None
        if ask.do in (INSTALL, RETRY):
            package = _find_package(session, engine, ask, snapshot=snapshot, now=now)
        order = _order(portal, engine_id, ask, package=package, now=now)
        before = orders.find_open_order(session, engine_id, product=ask.product)
        if before is not None:
            _supersede(session, before, by=order.id, actor=actor, now=now)
        record = _record(order, ask, package, actor=actor)
        orders.add_order(session, record)
        portal_rows.bump_generation(session)
        details: Details = {"engine": engine_id, "do": ask.do, "version": record.version}
        if ask.product is not None:
            details = {**details, "product": ask.product}
        more: Details = {"although_held": ask.although_held, "message": ask.message}
        replaced: Details = {"open_order": None if before is None else before.order_id}
        add_audit(
            session,
            "order-given",
            subject=order.id,
            actor=actor,
            now=now,
            details={**details, **more},
            before=replaced,
            after={"open_order": order.id},
        )
    return record


def _check_engine(engine: engines.EngineRecord, ask: Ask) -> None:
    if engine.state == engines.WAITING:
        raise Conflict(
            "engine-waiting", f"engine {engine.engine_id} waits for approval: approve it, then order"
        )
    if engine.state != engines.ENROLLED:
        raise Conflict("engine-revoked", f"engine {engine.engine_id} is {engine.state}: no order reaches it")
    verb = INSTALL if ask.do == RETRY else ask.do
    known = engine.capabilities
    if known is not None and verb not in known:
        updater = "" if engine.presence is None else f" {engine.presence.updater_version}"
        raise Conflict(
            "engine-cannot",
            f"the updater{updater} of engine {engine.engine_id} cannot {verb}, it can {', '.join(known)}: "
            "update the updater",
        )


def _find_package(
    session: Session, engine: engines.EngineRecord, ask: Ask, *, snapshot: Snapshot, now: datetime
) -> Candidate:
    candidates = snapshot.candidates_of(ask.product or engine.product)
    find = find_facts if ask.product is None else find_updater_facts
    wish = Wish(
        version=None if ask.version is None else _parse(ask.version),
        allow_downgrade=ask.allow_downgrade,
        retry=ask.do == RETRY,
        although_held=ask.although_held,
    )
    found = find_package(wish, find(session, engine, candidates), candidates, now=now)
    if isinstance(found, Reason):
        refusal = NotFound if found.code == "release-unknown" else Conflict
        raise refusal(found.code, f"engine {engine.engine_id}: {found.text}")
    return found


def _order(portal: Portal, engine_id: str, ask: Ask, *, package: Candidate | None, now: datetime) -> Order:
    accept_before = now + timedelta(seconds=ask.accept_within_s)
    if ask.window is not None:
        # Who may only begin in a window must be able to accept it until then.
        accept_before = max(accept_before, ask.window.closes)
    returns_to = _parse(ask.version) if ask.do == ROLLBACK and ask.version is not None else None
    return Order(
        portal=portal.identity.portal_id,
        engine=engine_id,
        id=new_id("ord"),
        seq=1,  # does not count: it gets its number when it is signed
        issued=now,
        accept_before=accept_before,
        do=INSTALL if ask.do == RETRY else ask.do,
        package=None if package is None else package_of(package.target),
        returns_to=returns_to,
        start_before=ask.start_before,
        window=ask.window,
        offline_start=ask.offline_start,
        allow_downgrade=ask.allow_downgrade,
        retry=ask.do == RETRY,
        message=ask.message,
    )


def _record(order: Order, ask: Ask, package: Candidate | None, *, actor: Actor) -> OrderRecord:
    version = None if package is None else package.target.version
    version = order.returns_to if version is None else version
    return OrderRecord(
        order_id=order.id,
        engine_id=order.engine,
        keyid=None,
        seq=None,
        do=order.do,
        version=None if version is None else version.text,
        sha256=None if package is None else package.target.sha256,
        state=orders.OPEN,
        envelope=None,
        issued=order.issued,
        accept_before=order.accept_before,
        closed=None,
        answer=None,
        origin=orders.ADMIN,
        given_by=actor.name[:200],
        message=order.message,
        although_held=ask.although_held,
        claims=order.to_bytes().decode("utf-8"),
        product=ask.product,
    )


def _supersede(session: Session, before: OrderRecord, *, by: str, actor: Actor, now: datetime) -> None:
    orders.supersede_order(session, before, now=now)
    details: Details = {"engine": before.engine_id, "do": before.do, "by": by}
    add_audit(session, "order-superseded", subject=before.order_id, actor=actor, now=now, details=details)
