"""The gate before an engine is stopped for an order: its times once more, and one poll.

Whatever happened since the order was accepted still counts: a cancel, a hold, an emergency stop, a
release that the vendor withdrew, another order. The engine goes on only when it is handed the same order
again. A portal that cannot be reached stops nothing when the order says ``offline_start``. An attempt that
waits for its window asks at every cycle: its host stays in sight, and it ends as soon as it is called off.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from engineshed_client.agent.polling import Poller
from engineshed_client.errors import ContentRefused, PortalUnavailable
from engineshed_client.fetch import Portal
from engineshed_client.journal import Journal
from engineshed_client.seen import SeenFile
from engineshed_client.steps.context import Clearance, Word
from engineshed_packages.enrolment import OrderKey
from engineshed_packages.errors import OrderRefused
from engineshed_packages.orders import CANCEL, Order, verify_order
from engineshed_packages.protocol import PollAnswer
from engineshed_packages.times import format_time

logger = logging.getLogger(__name__)

GO = Clearance(word=Word.GO)
CANCELLED, SUPERSEDED, TAKEN_BACK = "cancelled", "superseded", "taken-back"
CALLED_OFF = frozenset({CANCELLED, SUPERSEDED, TAKEN_BACK})  # by the portal: nothing failed


def check_times(order: Order, now: datetime) -> Clearance:
    """Whether *order* allows the engine to be stopped at *now*; a pure rule."""
    if order.start_before is not None and now >= order.start_before:
        latest = format_time(order.start_before)
        return _cancel("start-too-late", f"the engine had to be stopped before {latest}")
    if order.window is None:
        return GO
    if now < order.window.opens:
        text = f"the window opens at {format_time(order.window.opens)}"
        return Clearance(word=Word.WAIT, code="window-closed", message=text)
    if now >= order.window.closes:
        return _cancel("window-missed", f"the window closed at {format_time(order.window.closes)}")
    return GO


class OrderGate:
    """Asks the portal; implements ``Gate``."""

    def __init__(self, poller: Poller, portal: Portal, *, keys: Sequence[OrderKey], seen: SeenFile) -> None:
        self._poller = poller
        self._portal = portal
        self._keys = keys
        self._seen = seen

    def ask(self, journal: Journal, now: datetime) -> Clearance:
        """Whether the engine may be stopped now for the order in *journal*.

        Raises:
            PortalUnavailable: ask again later.
            OrderRefused: the order in the journal is not what was accepted.
            EnrolmentRefused, Refused, DiskTrouble: as ``Poller.poll``.
        """
        order = verify_order(journal.order or {}, self._keys).order
        dates = [date for date in (now, self._seen.load().metadata.newest_date) if date is not None]
        by_times = check_times(order, max(dates))
        if by_times.word is Word.CANCEL:
            return by_times
        try:
            # Also when the window is closed: who waits for days is seen, and can be called off.
            answer = self._poller.poll(journal.state, journal.attempt)
        except PortalUnavailable:
            if order.offline_start or by_times.word is Word.WAIT:
                return by_times
            raise
        clearance = self._check_answer(answer, order)
        if clearance.word is Word.GO:
            clearance = self._check_vendor(answer, order, journal)
        return by_times if clearance.word is Word.GO else clearance

    def _check_answer(self, answer: PollAnswer, order: Order) -> Clearance:
        if answer.order is None:
            text = f"the portal sends no order any more: {answer.code}, {answer.text}"
            return _cancel(TAKEN_BACK, text)
        try:
            current = verify_order(answer.order, self._keys).order
        except OrderRefused as err:
            return _cancel(err.code, err.message)
        if current.id == order.id:
            return GO
        if current.do == CANCEL:
            reason = current.message or "no reason given"
            return _cancel(CANCELLED, f"order {current.id} cancels it: {reason}")
        return _cancel(SUPERSEDED, f"the portal sends order {current.id} in place of {order.id}")

    def _check_vendor(self, answer: PollAnswer, order: Order, journal: Journal) -> Clearance:
        """When the vendor has signed something newer since: is the release still offered?"""
        if answer.timestamp_version <= self._seen.load().metadata.timestamp_version:
            return GO
        package = order.package
        if package is None:
            return self._check_kept(journal)
        target = self._portal.open_view().find(package.path)
        if target is None or target.sha256 != package.sha256:
            return _cancel("withdrawn", f"the vendor does not offer {package.path} any more")
        if target.withdrawn:
            return _cancel("withdrawn", target.withdrawal)
        return GO

    def _check_kept(self, journal: Journal) -> Clearance:
        """The same for the version that a rollback returns to; without the vendor's metadata it goes on."""
        try:
            listed = self._portal.open_view().targets
        except (PortalUnavailable, ContentRefused) as err:
            logger.info("vendor not asked before the rollback", extra={"code": err.code})
            return GO
        kept = next((one for one in listed if one.manifest_sha256 == journal.goal.manifest_sha256), None)
        if kept is not None and kept.withdrawn:
            return _cancel("withdrawn", kept.withdrawal)
        return GO


def _cancel(code: str, message: str) -> Clearance:
    return Clearance(word=Word.CANCEL, code=code, message=message)
