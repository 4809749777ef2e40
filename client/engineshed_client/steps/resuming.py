"""In which state an interrupted attempt goes on; one function per way of deciding.

Each looks at the disk where the journal alone does not tell, and may be called again.
"""

from __future__ import annotations

from engineshed_client.journal import Journal, State
from engineshed_client.steps.context import Context
from engineshed_client.steps.facts import Which, tree_in, which
from engineshed_client.steps.replacing import finish_swap


def go_on(context: Context, journal: Journal) -> State:
    """In the same state: its step may run twice."""
    return journal.state


def keep_if_whole(context: Context, journal: Journal) -> State:
    """A staged engine is kept when it is the wanted one, and whole."""
    tree = tree_in(context, context.paths.staged)
    is_wanted = tree is not None and tree.manifest_sha256 == journal.goal.manifest_sha256
    return State.STAGED if is_wanted and tree is not None and tree.is_whole() else State.STAGING


def give_up(context: Context, journal: Journal) -> State:
    """The old engine was being stopped or read: it is in its place, and what was copied is out of date."""
    return State.ABORTED


def by_facts(context: Context, journal: Journal) -> State:
    """A swap that took place is finished; one that did not, or only by half, is undone."""
    found = which(context, journal, context.paths.engine)
    if found is Which.TO:
        finish_swap(context, journal)
        return State.STARTING
    return State.ROLLING_BACK if found is Which.OTHER else State.ABORTED


def start_anew(context: Context, journal: Journal) -> State:
    """The new engine is started unless it runs, and probed from the first tick."""
    return State.STARTING


def break_out(context: Context, journal: Journal) -> State:
    """Out of a state that is unknown, or of a circle: back to the engine the attempt started from."""
    found = which(context, journal, context.paths.engine)
    if found is Which.FROM or (found is Which.NOTHING and journal.origin is None):
        return State.ABORTED
    return State.ROLLING_BACK
