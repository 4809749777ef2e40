"""STOPPING, CARRYING, SWAPPING: the short time in which no engine runs."""

from __future__ import annotations

from dataclasses import replace

from engineshed_client.errors import TreeBroken
from engineshed_client.fsops import find_stat
from engineshed_client.install.carrying import carry
from engineshed_client.install.swapping import rename_patiently, swap_in
from engineshed_client.install.trees import free_previous
from engineshed_client.journal import Journal
from engineshed_client.steps.context import TROUBLE, Context, Event, Result, failed
from engineshed_client.steps.facts import Which, previous_of, restore, tree_in, which
from engineshed_client.steps.preparing import plan_for, staged_tree

_DEFAULT_STOP_TIMEOUT_S = 30


def stop_engine(context: Context) -> None:
    """Stop the engine in ``engine/`` as its manifest and the settings say; nothing of it is left then.

    Raises:
        StopFailed: a process is left.
    """
    tree = tree_in(context, context.paths.engine)
    timeout_s = (
        _DEFAULT_STOP_TIMEOUT_S
        if tree is None
        else context.settings.engine.stop_for(tree.manifest.stop).timeout_s
    )
    context.supervisor.stop(timeout_s)


def stopping(context: Context, journal: Journal) -> Result:
    """Stop the engine; a first installation has none."""
    if journal.origin is not None:
        stop_engine(context)
    return Event.DONE, journal


def carrying(context: Context, journal: Journal) -> Result:
    """Copy what is the customer's into the new engine, and choose the name the old one will have."""
    plan, _ = plan_for(context, journal, staged_tree(context, journal))
    for path in plan.ignored:
        context.log.event(journal.attempt, "IGNORED", path=path)
    for one in plan.aside:
        context.log.event(journal.attempt, "NEW-DEFAULT", path=one.destination)
    live = None if journal.origin is None else context.paths.engine
    carry(context.fs, plan, context.paths.staged, live)
    if journal.origin is None:
        return Event.DONE, journal
    return Event.DONE, replace(journal, previous=free_previous(context.paths, context.now().date()).name)


def swapping(context: Context, journal: Journal) -> Result:
    """Put the new engine into the old one's place, or find out that this was done before."""
    paths = context.paths
    try:
        if which(context, journal, paths.engine) is not Which.TO:
            previous = previous_of(context, journal)
            swap_in(context.fs, paths.staged, paths.engine, previous=previous, sleep=context.sleep)
        finish_swap(context, journal)
    except TROUBLE as err:
        return undo_swap(context, failed(context, journal, err)[1])
    return Event.DONE, journal


def finish_swap(context: Context, journal: Journal) -> None:
    """The second half of an exchange: the old engine, still in ``staged/``, gets its name."""
    paths, previous = context.paths, previous_of(context, journal)
    if previous is None or find_stat(paths.staged) is None or find_stat(previous) is not None:
        return
    rename_patiently(context.fs, paths.staged, previous, sleep=context.sleep)


def undo_swap(context: Context, journal: Journal) -> Result:
    """After a swap that failed, by half or whole: UNDONE when the old engine is in its place again."""
    try:
        restore(context, journal)
    except TreeBroken as err:
        return failed(context, journal, err)
    return Event.UNDONE, journal
