"""The state machine of an attempt: a table of transitions, a table of resumptions, a short loop.

    journal = begin_install(context, target, bundle=path)     # steps.beginning
    result = run(context, journal)                            # Outcome, or Waiting
    found = recover(context)                                  # first thing after every start

A step acts and says how it ended; the table says which state follows; that state is saved before its step
runs. So whatever is interrupted is found in the journal, and each step may run twice. What a step raises
is its event FAILED. The states after which an engine must be brought back, and those that end an attempt,
go on although the journal cannot be written; all others stop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from engineshed_client.errors import AttemptUnfinished, DiskTrouble, JournalUnwritable
from engineshed_client.journal import Journal, JournalUnreadable, State
from engineshed_client.steps import (
    ending,
    fetching,
    preparing,
    proving,
    replacing,
    resuming,
    returning,
    settling,
)
from engineshed_client.steps.beginning import write_begin
from engineshed_client.steps.context import TROUBLE, Context, Event, Result, Trouble, failed, fault_of
from engineshed_packages.protocol import Outcome

logger = logging.getLogger(__name__)

MAX_WRITES = 40  # journal writes in one attempt; more means that it goes round in circles

STEPS: dict[State, Callable[[Context, Journal], Result]] = {
    State.DOWNLOADING: fetching.downloading,
    State.VERIFYING: fetching.verifying,
    State.STAGING: preparing.staging,
    State.STAGED: preparing.staged,
    State.STOPPING: replacing.stopping,
    State.CARRYING: replacing.carrying,
    State.SWAPPING: replacing.swapping,
    State.STARTING: proving.starting,
    State.PROBING: proving.probing,
    State.COMMITTED: ending.committed,
    State.ABORTED: ending.aborted,
    State.ROLLING_BACK: returning.rolling_back,
    State.ROLLED_BACK: ending.rolled_back,
    State.BROKEN: ending.broken,
}

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.DOWNLOADING, Event.DONE): State.VERIFYING,
    (State.DOWNLOADING, Event.FAILED): State.ABORTED,
    (State.VERIFYING, Event.DONE): State.STAGING,
    (State.VERIFYING, Event.AGAIN): State.DOWNLOADING,
    (State.VERIFYING, Event.FAILED): State.ABORTED,
    (State.STAGING, Event.DONE): State.STAGED,
    (State.STAGING, Event.FAILED): State.ABORTED,
    (State.STAGED, Event.DONE): State.STOPPING,
    (State.STAGED, Event.FAILED): State.ABORTED,
    (State.STOPPING, Event.DONE): State.CARRYING,
    (State.STOPPING, Event.FAILED): State.ABORTED,
    (State.CARRYING, Event.DONE): State.SWAPPING,
    (State.CARRYING, Event.FAILED): State.ABORTED,
    (State.SWAPPING, Event.DONE): State.STARTING,
    (State.SWAPPING, Event.UNDONE): State.ABORTED,
    (State.SWAPPING, Event.FAILED): State.ROLLING_BACK,
    (State.STARTING, Event.DONE): State.PROBING,
    (State.STARTING, Event.SKIP): State.COMMITTED,
    (State.STARTING, Event.FAILED): State.ROLLING_BACK,
    (State.PROBING, Event.DONE): State.COMMITTED,
    (State.PROBING, Event.DIED): State.STARTING,
    (State.PROBING, Event.FAILED): State.ROLLING_BACK,
    (State.COMMITTED, Event.DONE): State.IDLE,
    (State.ABORTED, Event.DONE): State.IDLE,
    (State.ABORTED, Event.FAILED): State.BROKEN,
    (State.ROLLING_BACK, Event.DONE): State.ROLLED_BACK,
    (State.ROLLING_BACK, Event.AGAIN): State.ROLLING_BACK,
    (State.ROLLING_BACK, Event.FAILED): State.BROKEN,
    (State.ROLLED_BACK, Event.DONE): State.IDLE,
    (State.BROKEN, Event.DONE): State.IDLE,
}

RESUME: dict[State, Callable[[Context, Journal], State]] = {
    State.DOWNLOADING: resuming.go_on,
    State.VERIFYING: resuming.go_on,
    State.STAGING: resuming.go_on,
    State.STAGED: resuming.keep_if_whole,
    State.STOPPING: resuming.give_up,
    State.CARRYING: resuming.give_up,
    State.SWAPPING: resuming.by_facts,
    State.STARTING: resuming.go_on,
    State.PROBING: resuming.start_anew,
    State.COMMITTED: resuming.go_on,
    State.ABORTED: resuming.go_on,
    State.ROLLING_BACK: resuming.go_on,
    State.ROLLED_BACK: resuming.go_on,
    State.BROKEN: resuming.go_on,
    State.UNKNOWN: resuming.break_out,
}

# While these last, the old engine runs: nothing needs to be settled before it may start.
UNHURRIED = frozenset({State.DOWNLOADING, State.VERIFYING, State.STAGING, State.STAGED})
# While these last, no whole engine may be in its place: nobody but the updater may start it.
BETWEEN_ENGINES = frozenset({State.STOPPING, State.CARRYING, State.SWAPPING})
# These go on although the journal cannot be written.
RETURNING = frozenset({State.ABORTED, State.ROLLING_BACK, State.ROLLED_BACK, State.BROKEN})


@dataclass(frozen=True, slots=True)
class Waiting:
    """The attempt stays in *state* for now.

    It is outside its window, the portal cannot be reached, or the engine is held back by this process.
    """

    state: State


def run(context: Context, journal: Journal) -> Outcome | Waiting:
    """Carry the attempt of *journal* on until it ended or has to wait.

    Raises:
        AttemptUnfinished: its end could not be written; ``recover`` is to be called again.
    """
    while True:
        event, journal = _act(context, journal)
        if event is Event.WAIT:
            return Waiting(journal.state)
        left, journal = journal.state, _enter(context, journal, TRANSITIONS[journal.state, event])
        if journal.state is State.IDLE:
            return ending.OUTCOMES[left]


def recover(context: Context) -> Journal | Outcome | None:
    """Find what an earlier run left, and bring it to its end where an engine is concerned.

    To be called first after every start, and before the engine starts; a second call changes nothing.

    Returns:
        the journal of an attempt that may go on (``run``), how one ended, or None when there was none.

    Raises:
        NewerSchema: a newer updater left it; nothing was touched.
        AttemptUnfinished: as for ``run``.
        DiskTrouble: the disk cannot be settled now.
    """
    journal = _load(context)
    if journal is None:
        settling.settle(context)
        return None
    journal = _resume(context, journal)
    ended = Waiting(journal.state) if journal.state in UNHURRIED else run(context, journal)
    if isinstance(ended, Waiting):
        settling.settle_beside(context, journal.attempt)
        return context.journals.load() or journal
    settling.settle(context)
    return ended


def _load(context: Context) -> Journal | None:
    try:
        return context.journals.load()
    except JournalUnreadable as err:
        logger.error("journal unreadable, set aside", extra={"code": err.code, "reason": err.message})
        context.journals.set_aside()
        return None


def _resume(context: Context, journal: Journal) -> Journal:
    _complete_begin(context, journal)
    state = _decide(RESUME[journal.state], context, journal)
    context.log.event(journal.attempt, "RESUME", found=journal.state, state=state)
    if state is not journal.state and state in RETURNING:
        journal = journal.with_fault("interrupted", f"the updater was interrupted in {journal.state}")
    return _enter(context, journal, state)


def _complete_begin(context: Context, journal: Journal) -> None:
    """The BEGIN line may lack: the journal comes first. Where it cannot be written, END brings it."""
    try:
        write_begin(context, journal)
    except TROUBLE as err:
        logger.error("BEGIN not written", extra={"attempt": journal.attempt, "reason": str(err)})


def _decide(way: Callable[[Context, Journal], State], context: Context, journal: Journal) -> State:
    try:
        return way(context, journal)
    except TROUBLE as err:
        raise _unfinished(journal, err) from err


def _act(context: Context, journal: Journal) -> Result:
    """Run the step of the journal's state; what it raises is FAILED."""
    try:
        return STEPS[journal.state](context, journal)
    except TROUBLE as err:
        result = failed(context, journal, err)
        is_disk = isinstance(err, OSError | DiskTrouble)
        if journal.state in ending.OUTCOMES and (is_disk or (journal.state, Event.FAILED) not in TRANSITIONS):
            raise _unfinished(journal, err) from err
        return result


def _unfinished(journal: Journal, err: Trouble) -> AttemptUnfinished:
    code, message = fault_of(err)
    return AttemptUnfinished(code, f"attempt {journal.attempt} stays in {journal.state} for now: {message}")


def _enter(context: Context, journal: Journal, state: State) -> Journal:
    """Save that *state* is entered, before its step runs."""
    if state is State.IDLE:
        return replace(journal, state=state)
    if journal.writes >= MAX_WRITES and state not in RETURNING:
        journal = journal.with_fault("too-many-writes", f"{journal.writes} journal writes in one attempt")
        state = _decide(resuming.break_out, context, journal)
    entered = journal.moved(state, context.now())
    try:
        entered = context.save(entered)
    except JournalUnwritable as err:
        logger.error("journal unwritable", extra={"code": err.code, "reason": err.message})
        # What the journal on disk announces already may go on, and so may every way back.
        if state not in RETURNING and state is not journal.state:
            fault = journal.with_fault(err.code, err.message)
            return _enter(context, fault, TRANSITIONS[journal.state, Event.FAILED])
    # `running` tells a recovery without a journal whether the engine was stopped for this attempt.
    context.log.event(entered.attempt, state.value, running=entered.was_running)
    return entered
