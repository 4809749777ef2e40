"""An order that came with a poll: proven, held against what this host knows, taken up or refused.

Each refusal has its code, its line in update.log and one report whose attempt id is derived from the
order and the code: however often the same order comes, the portal counts it once. Nothing of a refused
order reaches the disk but that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from engineshed_client.agent.installed import InstalledEngine
from engineshed_client.errors import ContentRefused, Refused
from engineshed_client.fetch import Portal
from engineshed_client.steps.context import Context
from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.errors import OrderRefused
from engineshed_packages.ids import derived_id
from engineshed_packages.jsontext import Json, escape_controls, write_compact
from engineshed_packages.orders import Accepted, EngineFacts, Order, SignedOrder, accept_order, verify_order
from engineshed_packages.protocol import REFUSAL, Outcome, Report
from engineshed_packages.target import Target
from engineshed_packages.versions import Version

MAX_MESSAGE_CHARS = 2000  # of a report


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An order that this engine accepts, and the vendor's verified target it names."""

    signed: SignedOrder
    target: Target
    envelope: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An order that this engine does not carry out.

    Attributes:
        order: None when not even its signature could be verified.
        name: names it where it has no trustworthy id: the digest of its envelope.
    """

    code: str
    message: str
    order: Order | None
    name: str

    @property
    def attempt(self) -> str:
        """The id under which this refusal is counted once."""
        return derived_id("att", self.name if self.order is None else self.order.id, self.code)


def judge(
    envelope: Mapping[str, Json],
    portal: Portal,
    *,
    context: Context,
    credentials: EnrolAnswer,
    installed: Version | None,
) -> Offer | Refusal:
    """Hold *envelope* against every rule of ``docs/protocol.md``; changes nothing but the metadata's cache.

    Raises:
        PortalUnavailable, SettingsRefused, DiskTrouble: it cannot be judged now.
    """
    name = hashlib.sha256(write_compact(envelope)).hexdigest()
    try:
        signed = verify_order(envelope, credentials.order_keys)
    except OrderRefused as err:
        return Refusal(code=err.code, message=err.message, order=None, name=name)
    order = signed.order
    try:
        view = portal.open_view()
        target = None if order.package is None else view.find(order.package.path)
        facts = _facts(context, credentials, installed)
        accept_order(signed, target, facts=facts, now=view.trusted_time)
    except (OrderRefused, ContentRefused) as err:
        return Refusal(code=err.code, message=err.message, order=order, name=name)
    # Every verb this updater accepts installs a package, and accept_order has found its target.
    assert target is not None
    return Offer(signed=signed, target=target, envelope=envelope)


def _facts(context: Context, credentials: EnrolAnswer, installed: Version | None) -> EngineFacts:
    seen = context.seen.load()
    return EngineFacts(
        portal=credentials.portal,
        engine=credentials.engine,
        product=context.settings.product,
        platform=context.settings.platform,
        installed=installed,
        accepted=seen.accepted,
        skipped=frozenset(one.sha256 for one in seen.skipped),
        floors=seen.floors,
    )


def remember_accepted(context: Context, offer: Offer) -> None:
    """Note the order's number before anything is done for it; ``retry`` takes the release off the skip list.

    Raises:
        DiskTrouble: it could not be noted, so nothing may be done.
    """
    signed, seen = offer.signed, context.seen.load()
    after = seen.with_order(signed.keyid, Accepted(seq=signed.order.seq, id=signed.order.id))
    if signed.order.retry:
        after = after.without_skipped(offer.target.sha256)
    if after != seen:
        context.seen.save(after)


def refused_to_begin(err: Refused, offer: Offer) -> Refusal:
    """The refusal of an accepted order that could not be begun, as when its version is installed already."""
    return Refusal(code=err.code, message=err.message, order=offer.signed.order, name=offer.signed.order.id)


def tell_refusal(refusal: Refusal, context: Context, installed: InstalledEngine) -> None:
    """One line in update.log, one report.

    Raises:
        DiskTrouble: the report could not be stored.
    """
    order = refusal.order
    package = None if order is None else order.package
    if not context.log.lines(refusal.attempt):
        context.log.event(
            refusal.attempt,
            "REFUSED",
            code=refusal.code,
            order=None if order is None else order.id,
            to=None if package is None else package.version.text,
            message=refusal.message,
        )
    if context.engine_id is None:
        return
    now, version = context.now(), installed.version()
    context.outbox.put(
        Report(
            attempt=refusal.attempt,
            engine=context.engine_id,
            product=context.settings.product,
            kind=REFUSAL,
            outcome=Outcome.ABORTED,
            code=refusal.code,
            message=escape_controls(refusal.message)[:MAX_MESSAGE_CHARS],
            from_version=version,
            to_version=None if package is None else package.version,
            version=version,
            started=now,
            ended=now,
            updater_version=context.updater_version,
            order=None if order is None else order.id,
            seq=0 if order is None else order.seq,
            sha256=None if package is None else package.sha256,
            update_log=context.log.lines(refusal.attempt),
        )
    )
