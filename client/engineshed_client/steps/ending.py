"""COMMITTED, ABORTED, ROLLED_BACK, BROKEN: one END line, one report, then the journal is dropped.

END and report must be written: where they cannot, the journal stays and the next recovery ends the
attempt the same way. Tidying up may fail and is made up for by any later recovery.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from engineshed_client.errors import DiskTrouble, StartFailed
from engineshed_client.install.diagnosis import last_lines
from engineshed_client.install.files import remove_tree
from engineshed_client.install.trees import Tree, list_previous
from engineshed_client.journal import Journal, State
from engineshed_client.steps.beginning import write_begin
from engineshed_client.steps.context import TROUBLE, Context, Event, Result, fault_of
from engineshed_client.steps.facts import clear_downloads, clear_own_staged, find_signed, restore, tree_in
from engineshed_client.supervisor import engine_output
from engineshed_packages.protocol import Outcome, Report
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)

OUTCOMES = {
    State.COMMITTED: Outcome.OK,
    State.ABORTED: Outcome.ABORTED,
    State.ROLLED_BACK: Outcome.ROLLED_BACK,
    State.BROKEN: Outcome.BROKEN,
}


def committed(context: Context, journal: Journal) -> Result:
    """The new engine stays. Older versions than the administrator keeps go."""
    _sweep(context, journal)
    _tidy(context, journal, prune)
    _tidy(context, journal, _forgive)
    _tidy(context, journal, _skip_what_was_left)
    _end(context, journal)
    context.journals.drop()
    return Event.DONE, journal


def aborted(context: Context, journal: Journal) -> Result:
    """The old engine stays, and runs when it ran before; nothing of the new one is left."""
    restore(context, journal)
    if journal.origin is not None and journal.was_running:
        try:
            context.supervisor.start()
        except (StartFailed, DiskTrouble):
            # What was staged may have filled the disk that the engine, too, needs.
            _sweep(context, journal)
            context.supervisor.start()
    _sweep(context, journal)
    _end(context, journal)
    context.journals.drop()
    return Event.DONE, journal


def rolled_back(context: Context, journal: Journal) -> Result:
    """The old engine is back. The release is not tried again here until somebody says so."""
    _sweep(context, journal)
    _remember(context, journal)
    _end(context, journal)
    context.journals.drop()
    return Event.DONE, journal


def broken(context: Context, journal: Journal) -> Result:
    """No engine that is known to be well could be left running. Nothing is deleted."""
    _remember(context, journal)
    _end(context, journal)
    context.journals.drop()
    return Event.DONE, journal


def _end(context: Context, journal: Journal) -> None:
    outcome = OUTCOMES[journal.state]
    tree = tree_in(context, context.paths.engine)
    version = None if tree is None else tree.manifest.version
    code = "ok" if outcome is Outcome.OK else journal.code or "interrupted"
    write_begin(context, journal)
    context.log.end(
        journal.attempt,
        outcome,
        code=code,
        version=version or "none",
        probed=_was_probed(journal),
        message=journal.message if outcome is not Outcome.OK else None,
    )
    if context.engine_id is not None:
        context.outbox.put(_report(context, journal, context.engine_id, code=code, version=version))
    _tidy(context, journal, _answered)


def _answered(context: Context, journal: Journal) -> None:
    """The order of this attempt is not carried out once more, whoever repeats it."""
    seen = context.seen.load()
    after = seen if journal.order_id is None else seen.with_answered(journal.order_id)
    if after != seen:
        context.seen.save(after)


def _was_probed(journal: Journal) -> bool:
    return journal.state is State.COMMITTED and journal.starts > 0


def _report(
    context: Context, journal: Journal, engine_id: str, *, code: str, version: Version | None
) -> Report:
    outcome = OUTCOMES[journal.state]
    return Report(
        attempt=journal.attempt,
        engine=engine_id,
        product=context.settings.product,
        kind=journal.kind,
        outcome=outcome,
        code=code,
        message="" if outcome is Outcome.OK else journal.message,
        from_version=None if journal.origin is None else journal.origin.version,
        to_version=journal.goal.version,
        version=version,
        measured_version=journal.measured,
        started=journal.started,
        ended=context.now(),
        updater_version=context.updater_version,
        probed=_was_probed(journal),
        order=journal.order_id,
        seq=journal.seq,
        sha256=None if journal.goal.target is None else journal.goal.target.sha256,
        steps=journal.steps,
        update_log=context.log.lines(journal.attempt),
        engine_log=_engine_log(context, journal),
    )


def _engine_log(context: Context, journal: Journal) -> tuple[str, ...]:
    """The last lines of the engine that failed, wherever it lies now; none when no engine was touched.

    An attempt that was aborted after the old engine was told to stop carries that engine's lines: why it
    would not stop stands there.
    """
    if journal.state is State.ABORTED and any(step.state == State.STOPPING for step in journal.steps):
        tree = tree_in(context, context.paths.engine)
        return _last_lines(context, context.paths.engine, tree)
    if journal.state not in (State.ROLLED_BACK, State.BROKEN) or journal.starts == 0:
        return ()
    for folder in (context.paths.failed, context.paths.engine):
        tree = tree_in(context, folder)
        if tree is not None and tree.manifest_sha256 == journal.goal.manifest_sha256:
            return _last_lines(context, folder, tree)
    return _last_lines(context, context.paths.failed, None)


def _last_lines(context: Context, folder: Path, tree: Tree | None) -> tuple[str, ...]:
    return last_lines(
        folder,
        None if tree is None else tree.manifest,
        others=(engine_output(context.paths),),
        said=context.supervisor.said(),
    )


def _remember(context: Context, journal: Journal) -> None:
    """Put the release on the skip list when it was really tried here."""
    target = journal.goal.target
    if target is not None and journal.starts > 0:
        context.seen.save(context.seen.load().with_skipped(target.version, target.sha256))


def _forgive(context: Context, journal: Journal) -> None:
    seen, target = context.seen.load(), journal.goal.target
    if target is not None and any(one.sha256 == target.sha256 for one in seen.skipped):
        context.seen.save(seen.without_skipped(target.sha256))


def _skip_what_was_left(context: Context, journal: Journal) -> None:
    """A newer release that was left for an older one, by order or by hand, is not offered back at once."""
    origin = journal.origin
    if origin is None or journal.goal.version >= origin.version:
        return
    left = find_signed(context, origin.manifest_sha256)
    if left is not None:  # what the vendor does not list, nobody can order
        context.seen.save(context.seen.load().with_skipped(left.version, left.sha256))


def _sweep(context: Context, journal: Journal) -> None:
    _tidy(context, journal, clear_own_staged)
    _tidy(context, journal, _clear_downloads)


def _tidy(context: Context, journal: Journal, action: Callable[[Context, Journal], None]) -> None:
    try:
        action(context, journal)
    except TROUBLE as err:
        code, message = fault_of(err)
        logger.warning("not tidied up", extra={"code": code, "reason": message})
        context.log.event(journal.attempt, "UNTIDY", code=code, message=message)


def _clear_downloads(context: Context, journal: Journal) -> None:
    clear_downloads(context)


def prune(context: Context, journal: Journal) -> None:
    """Remove previous versions beyond ``keep_previous``, oldest first; never the one just left.

    A folder without a readable manifest was not made by this updater and stays.
    """
    for folder in list_previous(context.paths)[context.settings.keep_previous :]:
        if folder.name != journal.previous and tree_in(context, folder) is not None:
            remove_tree(context.fs, folder)
