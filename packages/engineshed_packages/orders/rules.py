"""The rules by which an engine accepts an order: pure, each with a code of its own.

``seq`` counts up per engine and portal key and has no clock in it: a replayed order is recognised after any
change of the host's time. The same order may come again until it is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engineshed_packages.errors import OrderRefused
from engineshed_packages.orders.envelope import SignedOrder
from engineshed_packages.orders.order import CONFIGURE, INSTALL, Order
from engineshed_packages.target import Target
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The last order accepted under one key; *answered* once what became of it is kept for the portal."""

    seq: int
    id: str
    answered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What the engine knows when it judges an order.

    Attributes:
        installed: version of the engine on disk; None when there is none.
        accepted: last accepted order by ``keyid``, from ``seen.json``.
        skipped: SHA-256 digests of packages that failed here before.
        floors: highest floor per product ever seen in verified metadata.
        verbs: what this updater can do.
    """

    portal: str
    engine: str
    product: str
    platform: str
    installed: Version | None
    accepted: Mapping[str, Accepted]
    skipped: frozenset[str] = frozenset()
    floors: Mapping[str, Version] = field(default_factory=dict)
    verbs: frozenset[str] = frozenset({INSTALL})


def accept_order(signed: SignedOrder, target: Target | None, *, facts: EngineFacts, now: datetime) -> None:
    """Hold a verified order against what the engine knows; return only when every rule is satisfied.

    Args:
        target: the vendor's verified target of the order's path, None when there is none.
        now: trusted time, the later of the host's clock and the newest date the vendor signed.

    Raises:
        OrderRefused: the first rule that is broken gives the code.
    """
    order = signed.order
    _check_addressee(order, facts)
    if now >= order.accept_before:
        raise OrderRefused(
            "order-expired",
            f"order {order.id} had to be accepted before {format_time(order.accept_before)}, "
            f"it is {format_time(now)}",
        )
    _check_seq(signed, facts)
    if order.do not in facts.verbs:
        raise OrderRefused(
            "order-unsupported", f"order {order.id} asks for {order.do!r}, which this updater cannot do"
        )
    if order.do == INSTALL:
        _check_package(order, target, facts)
    if order.do == CONFIGURE:
        _check_configuration(order)


def _check_addressee(order: Order, facts: EngineFacts) -> None:
    if order.portal != facts.portal:
        raise OrderRefused(
            "order-other-portal", f"order {order.id} is of portal {order.portal}, expected {facts.portal}"
        )
    if order.engine != facts.engine:
        raise OrderRefused(
            "order-other-engine", f"order {order.id} is for engine {order.engine}, this is {facts.engine}"
        )


def _check_seq(signed: SignedOrder, facts: EngineFacts) -> None:
    last = facts.accepted.get(signed.keyid)
    order = signed.order
    if last is None or order.seq > last.seq:
        return
    if order.seq == last.seq and order.id == last.id:
        if last.answered:
            # Who repeats it may want the engine stopped, or taken back, once more.
            raise OrderRefused("order-answered", f"order {order.id} was answered before")
        return
    raise OrderRefused(
        "order-replayed",
        f"order {order.id} has seq {order.seq}, expected more than {last.seq}, the seq of {last.id}",
    )


def _check_configuration(order: Order) -> None:
    if not order.next_keys and not order.next_portals:
        raise OrderRefused("order-configuration", f"order {order.id} names neither order keys nor portals")
    if len(set(order.next_keys)) != len(order.next_keys):
        raise OrderRefused("order-configuration", f"order {order.id} names one order key twice")


def _check_package(order: Order, target: Target | None, facts: EngineFacts) -> None:
    package = order.package
    if package is None:
        raise OrderRefused("order-unreadable", f"order {order.id} installs nothing: it names no package")
    if target is None:
        raise OrderRefused(
            "order-target-unknown",
            f"order {order.id} names {package.path}, which the vendor's metadata does not list",
        )
    found = (package.path, package.length_bytes, package.sha256, package.version)
    if found != (target.path, target.length_bytes, target.sha256, target.version):
        raise OrderRefused(
            "order-target-mismatch",
            f"order {order.id} names {package.path} with {package.length_bytes} bytes and "
            f"SHA-256 {package.sha256}, the vendor signed {target.length_bytes} bytes and "
            f"SHA-256 {target.sha256}",
        )
    if target.product != facts.product:
        raise OrderRefused(
            "order-other-product",
            f"order {order.id} is for product {target.product}, this engine is {facts.product}",
        )
    if not target.fits(facts.platform):
        raise OrderRefused(
            "order-other-platform",
            f"order {order.id} is for platform {target.platform}, this host is {facts.platform}",
        )
    if target.withdrawn:
        raise OrderRefused("order-withdrawn", target.withdrawal)
    _check_version(order, target, facts)


def _check_version(order: Order, target: Target, facts: EngineFacts) -> None:
    floor = facts.floors.get(target.product)
    if floor is not None and target.version < floor:
        raise OrderRefused(
            "order-below-floor",
            f"order {order.id} installs {target.version.text}, below the vendor's floor {floor.text}",
        )
    installed = facts.installed
    if installed is not None and target.version <= installed:
        if not order.allow_downgrade:
            raise OrderRefused(
                "order-not-newer",
                f"order {order.id} installs {target.version.text}, which is not newer than {installed.text}",
            )
    elif installed is not None and target.min_version is not None and installed < target.min_version:
        raise OrderRefused(
            "order-min-version",
            f"{target.version.text} needs {target.min_version.text} installed first, found {installed.text}",
        )
    if target.sha256 in facts.skipped and not order.retry:
        raise OrderRefused(
            "order-skipped",
            f"{target.version.text} failed on this engine before and the order does not say retry",
        )
