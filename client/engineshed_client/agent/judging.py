"""An order that came with a poll: proven, held against what this host knows, taken up or refused.

Each refusal has its code, its line in update.log and one report whose attempt id is derived from the
order and the code: however often the same order comes, the portal counts it once. Nothing of a refused
order reaches the disk but that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from engineshed_client.agent.installed import InstalledEngine
from engineshed_client.agent.polling import CAPABILITIES
from engineshed_client.errors import ContentRefused
from engineshed_client.fetch import Portal
from engineshed_client.steps.context import Context
from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.errors import OrderRefused
from engineshed_packages.ids import derived_id
from engineshed_packages.jsontext import Json, escape_controls, write_compact
from engineshed_packages.orders import (
    INSTALL,
    Accepted,
    EngineFacts,
    Order,
    SignedOrder,
    accept_order,
    verify_order,
)
from engineshed_packages.protocol import REFUSAL, Outcome, Report
from engineshed_packages.target import UPDATER_PRODUCT, Target
from engineshed_packages.versions import Version

MAX_MESSAGE_CHARS = 2000  # of a report


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An order that this engine accepts; *target* is the vendor's verified one, for an install alone."""

    signed: SignedOrder
    target: Target | None
    envelope: Mapping[str, Json]

    @property
    def order(self) -> Order:
        """The order."""
        return self.signed.order

    @property
    def own(self) -> Target | None:
        """The updater that is to take the place of this one, when that is what it is about."""
        target = self.target
        return target if target is not None and target.product == UPDATER_PRODUCT else None


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
    own: Version | None = None,
) -> Offer | Refusal:
    """Hold *envelope* against every rule of ``docs/protocol.md``; changes nothing but the metadata's cache.

    Args:
        own: this updater's version, when it can install newer ones of itself.

    Raises:
        PortalUnavailable, SettingsRefused, DiskTrouble: it cannot be judged now.
    """
    name = hashlib.sha256(write_compact(envelope)).hexdigest()
    try:
        signed = verify_order(envelope, credentials.order_keys)
    except OrderRefused as err:
        return Refusal(code=err.code, message=err.message, order=None, name=name)
    order = signed.order
    target = None
    try:
        if order.do == INSTALL:
            view = portal.open_view()
            now = view.trusted_time
            target = None if order.package is None else view.find(order.package.path)
        else:
            # Nothing of the vendor's is needed for it: it works while his metadata cannot be had.
            now = trusted_now(context)
        facts = _facts(context, credentials, installed)
        if own is not None and target is not None and target.product == UPDATER_PRODUCT:
            facts = replace(facts, product=UPDATER_PRODUCT, installed=own)
        accept_order(signed, target, facts=facts, now=now)
    except (OrderRefused, ContentRefused) as err:
        return Refusal(code=err.code, message=err.message, order=order, name=name)
    return Offer(signed=signed, target=target, envelope=envelope)


def trusted_now(context: Context) -> datetime:
    """The later of the host's clock and the newest date that the vendor signed.

    Raises:
        DiskTrouble: what was seen cannot be read.
    """
    newest = context.seen.load().metadata.newest_date
    return context.now() if newest is None else max(context.now(), newest)


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
        verbs=frozenset(CAPABILITIES),
    )


def remember_accepted(context: Context, offer: Offer) -> None:
    """Note the order's number before anything is done for it; ``retry`` takes the release off the skip list.

    Raises:
        DiskTrouble: it could not be noted, so nothing may be done.
    """
    signed, seen = offer.signed, context.seen.load()
    after = seen.with_order(signed.keyid, Accepted(seq=signed.order.seq, id=signed.order.id))
    if signed.order.retry and offer.target is not None:
        after = after.without_skipped(offer.target.sha256)
    if after != seen:
        context.seen.save(after)


def refused_to_begin(code: str, message: str, offer: Offer) -> Refusal:
    """The refusal of an accepted order that could not be begun, as when its version is installed already."""
    return Refusal(code=code, message=message, order=offer.order, name=offer.order.id)


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
