"""One cycle of the updater: recover, carry on, send what waits, ask for news, begin an attempt.

A cycle runs under the updater's lock and knows no loop and no clock on the wall. ``loop`` repeats it;
``engineshed-client update`` runs it by hand. It raises what keeps it from ending, and the next one then
begins by recovering, as the first one does.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from engineshed_client import machine
from engineshed_client.agent.adopting import adopt_pending
from engineshed_client.agent.carrying_out import VERBS, attempt_of, carry_out, finish
from engineshed_client.agent.configuring import confirm_portals
from engineshed_client.agent.gate import CALLED_OFF, check_times
from engineshed_client.agent.installed import InstalledEngine
from engineshed_client.agent.judging import (
    Offer,
    Refusal,
    judge,
    refused_to_begin,
    remember_accepted,
    tell_refusal,
    trusted_now,
)
from engineshed_client.agent.own_updating import End, OwnUpdate
from engineshed_client.agent.pace import Rests
from engineshed_client.agent.polling import Poller
from engineshed_client.errors import (
    EngineTrouble,
    EnrolmentRefused,
    PortalUnavailable,
    Refused,
    TryLater,
)
from engineshed_client.fetch import Portal
from engineshed_client.heard import WAITING, Heard, HeardFile
from engineshed_client.journal import Journal, State
from engineshed_client.steps.adopting import CODE
from engineshed_client.steps.beginning import begin_ordered_rollback, begin_update
from engineshed_client.steps.context import NO_ATTEMPT, Context, Word
from engineshed_client.supervisor import cap_output
from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.jsontext import Json, write_compact
from engineshed_packages.protocol import Outcome
from engineshed_packages.target import Target

logger = logging.getLogger(__name__)


class Event(Enum):
    """What a cycle came to."""

    NOTHING = auto()  # the portal has no news
    REFUSED = auto()  # an order was refused
    RESTING = auto()  # an order waits, because the same failed here a short time ago
    WAITING = auto()  # an attempt, or an order, waits for its window
    UNFETCHED = auto()  # an attempt waits because its package could not be fetched
    ENDED = auto()  # an attempt ended
    CARRIED_OUT = auto()  # an order that is no attempt was carried out
    SWITCHED = auto()  # the launcher is to start another version of the updater
    ADOPTED = auto()  # an engine installed long ago has its manifest; the next poll is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a cycle came to.

    Attributes:
        code, message: the portal's, the refusal's, or those of the attempt's END line.
        outcome, attempt: of an attempt that ended, or of an order that was carried out.
        do: what that order asked for.
        probed: whether its new engine was started and found well; it is not when the old one did not run.
        poll_s: seconds to the next poll as the portal wants it; None when it was not asked.
    """

    event: Event
    code: str
    message: str = ""
    outcome: Outcome | None = None
    attempt: str | None = None
    do: str | None = None
    probed: bool = False
    poll_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a cycle works with; made by ``wiring``.

    Attributes:
        after_boot: starts the engine when it ran as the host went down.
        own: how the updater installs newer versions of itself; None when it was not launched.
        reconnect: gives these parts, or new ones when the identity on disk is another than theirs.
    """

    context: Context
    portal: Portal
    credentials: EnrolAnswer
    poller: Poller
    installed: InstalledEngine
    after_boot: Callable[[], None]
    reconnect: Callable[[Parts], Parts]
    own: OwnUpdate | None = None


def _told(end: End) -> Done:
    return Done(
        event=Event.ENDED, code=end.code, message=end.message, outcome=end.outcome, attempt=end.attempt
    )


SWITCHED = Done(event=Event.SWITCHED, code="switched", message="another version of the updater is started")


class Cycle:
    """Runs cycles, one after the other, in one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._context = parts.context
        self._heard = HeardFile(parts.context.paths, parts.context.fs)
        self._rests = Rests()
        self._settled = False
        self._waiting: str | None = None

    def run(self) -> Done:
        """One cycle; the caller holds the updater's lock.

        Raises:
            PortalUnavailable, EnrolmentRefused: no word from the portal.
            ClientError: anything else that keeps it from ending.
        """
        self._follow_identity()
        journal = self._under_way()
        if self._parts.own is not None and self._parts.own.settle(self._context):
            return SWITCHED
        cap_output(self._context.paths, self._context.fs)
        return self._ask() if journal is None else self._carry_on(journal)

    def _under_way(self) -> Journal | None:
        """The attempt that may go on; what an earlier process or a failed cycle left is recovered first."""
        if self._settled:
            journal = self._context.journals.load()
            if journal is None or journal.attempt == self._waiting:
                return journal
        self._settled = False
        found = machine.recover(self._context)
        finish(self._context)
        self._follow_identity()
        self._start_after_boot()
        self._settled = True
        if isinstance(found, Outcome):
            logger.info("an interrupted attempt was ended", extra={"outcome": found.value})
        return found if isinstance(found, Journal) else None

    def _follow_identity(self) -> None:
        """Go on as who this base is by now: an order changed keys or portals, or it has joined anew."""
        before, self._parts = self._parts, self._parts.reconnect(self._parts)
        self._context = self._parts.context
        if self._parts.credentials.engine != before.credentials.engine:
            logger.info("another identity", extra={"engine": self._parts.credentials.engine})
            self._rests, self._settled = Rests(), False

    def _start_after_boot(self) -> None:
        try:
            self._parts.after_boot()
        except EngineTrouble as err:
            logger.error("engine not started after boot", extra={"code": err.code, "reason": err.message})

    def _carry_on(self, journal: Journal) -> Done:
        """Run the attempt of *journal* until it ends or has to wait."""
        target = journal.goal.target
        name = journal.attempt if target is None else target.sha256
        self._settled = False  # what keeps it from ending is recovered by the next cycle
        found = machine.run(self._context, journal)
        self._settled = True
        if isinstance(found, machine.Waiting):
            self._waiting = journal.attempt
            event = Event.UNFETCHED if found.state is State.DOWNLOADING else Event.WAITING
            return Done(event=event, code="waiting", message=f"the attempt waits in {found.state}")
        self._waiting = None
        ended = self._ended(journal.attempt, found)
        if found is Outcome.OK:
            self._rests.went_well(name)
        elif ended.code not in CALLED_OFF:
            self._rests.failed(name, time.monotonic())
        self._send_now()
        return ended

    def _ended(self, attempt: str, outcome: Outcome) -> Done:
        """The attempt's END line tells code and message."""
        lines = [line for line in self._context.log.read() if line.attempt == attempt]
        values = lines[-1].values if lines else {}
        return Done(
            event=Event.ENDED,
            code=values.get("code", ""),
            message=values.get("message", ""),
            outcome=outcome,
            attempt=attempt,
            probed=values.get("probed") == "yes",
        )

    def _ask(self) -> Done:
        try:
            self._context.outbox.send(self._parts.portal)
            answer = self._parts.poller.poll(State.IDLE, None)
        except EnrolmentRefused as err:
            self._hear(Heard(code=err.code, text=err.message, since=self._context.now(), refused=True))
            raise
        except PortalUnavailable as err:
            self._hear(Heard(code=err.code, text=err.message, since=self._context.now(), away=True))
            raise
        self._hear(Heard(code=answer.code, text=answer.text, since=self._context.now()))
        if confirm_portals(self._context, self._parts.portal.answered_by):
            self._follow_identity()
        confirmed = self._confirm()
        if confirmed is not None:
            return replace(confirmed, poll_s=answer.poll_s)  # reported first: the order was for that
        adopted = self._adopt() if answer.code != WAITING else None
        if adopted is not None:
            done = adopted  # the order, if there is one, was given to an engine that nobody knew
        elif answer.order is None:
            done = Done(event=Event.NOTHING, code=answer.code, message=answer.text)
        else:
            done = self._take(answer.order)
        return replace(done, poll_s=answer.poll_s)

    def _confirm(self) -> Done | None:
        """The portal has answered this version of the updater: it stays. None when that was known."""
        own = self._parts.own
        end = None if own is None else own.confirm(self._context)
        return None if end is None else _told(end)

    def _adopt(self) -> Done | None:
        """Take over the engine that is to be adopted; None when none is now."""
        found = adopt_pending(self._context, self._parts.portal)
        if found is None:
            return None
        self._send_now()
        return Done(event=Event.ADOPTED, code=CODE, message=found.summary, outcome=Outcome.OK)

    def _hear(self, heard: Heard) -> None:
        """Keep what the portal says for people; in update.log when somebody has to act, or has acted."""
        before = self._heard.load()
        if self._heard.note(heard) and (heard.is_news or (before is not None and before.is_news)):
            self._context.log.event(NO_ATTEMPT, "PORTAL", code=heard.code, message=heard.text)

    def _take(self, envelope: Mapping[str, Json]) -> Done:
        """Judge an order, and carry it out or refuse it."""
        name = hashlib.sha256(write_compact(envelope)).hexdigest()
        if self._rests.is_resting(name, time.monotonic()):
            return Done(event=Event.RESTING, code="order-rests", message="this order was refused before")
        verdict = judge(
            envelope,
            self._parts.portal,
            context=self._context,
            credentials=self._parts.credentials,
            installed=self._parts.installed.version(),
            own=None if self._parts.own is None else self._parts.own.version,
        )
        if isinstance(verdict, Refusal):
            return self._refuse(verdict, name)
        if verdict.own is not None:
            return self._update_itself(verdict, verdict.own, name)
        if verdict.order.do in VERBS:
            return self._carry_out(verdict, name)
        resting = self._find_resting(verdict)
        if resting is not None:
            return resting
        begun = self._begin(verdict)
        return self._refuse(begun, name) if isinstance(begun, Refusal) else self._carry_on(begun)

    def _find_resting(self, offer: Offer) -> Done | None:
        """That the package of *offer* rests; one that is ordered as a retry does not."""
        target = offer.target
        if target is None or offer.order.retry:
            return None
        if not self._rests.is_resting(target.sha256, time.monotonic()):
            return None
        text = f"{target.version} failed here a short time ago and is tried again later"
        return Done(event=Event.RESTING, code="attempt-rests", message=text)

    def _carry_out(self, offer: Offer, name: str) -> Done:
        """Do what an accepted order asks that is no attempt, unless its time has not come or is over."""
        order, waiting = offer.order, self._find_waiting(offer, name)
        if waiting is not None:
            return waiting
        remember_accepted(self._context, offer)
        self._settled = False  # what keeps it from its end is finished by the next cycle
        result = carry_out(self._context, order)
        self._follow_identity()
        self._settled = True
        self._send_now()
        return Done(
            event=Event.CARRIED_OUT,
            code=result.code,
            message=result.message,
            outcome=result.outcome,
            attempt=attempt_of(order),
            do=order.do,
            probed=result.probed,
        )

    def _update_itself(self, offer: Offer, target: Target, name: str) -> Done:
        """Install another version of the updater, unless the order's time has not come, or it rests."""
        own = self._parts.own
        assert own is not None  # an order for it was accepted
        waiting = self._find_waiting(offer, name) or self._find_resting(offer)
        if waiting is not None:
            return waiting
        remember_accepted(self._context, offer)
        try:
            end = own.update(self._context, self._parts.portal, offer.order, target)
        except TryLater as err:
            self._rests.failed(target.sha256, time.monotonic())
            return Done(event=Event.RESTING, code=err.code, message=err.message)
        if end is None:
            return SWITCHED
        self._rests.failed(target.sha256, time.monotonic())
        self._send_now()
        return _told(end)

    def _find_waiting(self, offer: Offer, name: str) -> Done | None:
        """That the time of an order has not come, or is over; None when it is now."""
        clearance = check_times(offer.order, trusted_now(self._context))
        if clearance.word is Word.WAIT:
            return Done(event=Event.WAITING, code=clearance.code, message=clearance.message)
        if clearance.word is Word.CANCEL:
            return self._refuse(refused_to_begin(clearance.code, clearance.message, offer), name)
        return None

    def _refuse(self, refusal: Refusal, name: str) -> Done:
        self._rests.failed(name, time.monotonic())
        logger.warning("order refused", extra={"code": refusal.code})
        tell_refusal(refusal, self._context, self._parts.installed)
        self._send_now()
        return Done(event=Event.REFUSED, code=refusal.code, message=refusal.message)

    def _begin(self, offer: Offer) -> Journal | Refusal:
        remember_accepted(self._context, offer)
        try:
            if offer.target is None:
                return begin_ordered_rollback(self._context, order=offer.order, envelope=offer.envelope)
            return begin_update(self._context, offer.target, order=offer.order, envelope=offer.envelope)
        except Refused as err:
            return refused_to_begin(err.code, err.message, offer)

    def _send_now(self) -> None:
        """Send reports at once; without the portal they wait for the next cycle."""
        try:
            self._context.outbox.send(self._parts.portal)
        except (PortalUnavailable, EnrolmentRefused) as err:
            logger.info("report waits", extra={"code": err.code})
