"""IDLE: what is put right when no attempt is under way, or beside one that is.

The ground rule is that nothing is lost: a tree is removed only when it can only be a copy. An attempt
whose journal is gone leaves a BEGIN without END; it gets its END and its report here.
"""

from __future__ import annotations

import logging
from pathlib import Path

from engineshed_client.errors import EngineTrouble, client_boundary
from engineshed_client.fsops import TEMPORARY_SUFFIX, find_stat
from engineshed_client.install.files import Shape, shape_of
from engineshed_client.reports.log_line import BEGIN, END, LogLine
from engineshed_client.steps.context import Context
from engineshed_client.steps.facts import bring_back, clear_downloads, clear_staged, tree_in
from engineshed_packages.errors import PackagesError
from engineshed_packages.ids import check_id
from engineshed_packages.protocol import Outcome, Report
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)

INTERRUPTED = "interrupted"


def settle(context: Context) -> None:
    """Bring a base without an attempt into order; doing it again changes nothing.

    Raises:
        ClientError: from the disk.
    """
    with client_boundary():
        bring_back(context)
        clear_staged(context)
        bring_back(context)
        clear_downloads(context)
    settle_beside(context, None)


def settle_beside(context: Context, attempt: str | None) -> None:
    """Remove temporary files, and end every begun attempt but *attempt*.

    Raises:
        ClientError: from the disk.
    """
    with client_boundary():
        paths = context.paths
        for folder in (paths.update, paths.work, paths.outbox, paths.metadata, paths.update_log.parent):
            _remove_temporary(context, folder)
        for line in _begun(context, attempt):
            _start_again(context, line)
            _report_interrupted(context, line)
        context.log.close_open(attempt)


def _remove_temporary(context: Context, folder: Path) -> None:
    try:
        names = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    for path in names:
        status = find_stat(path) if path.name.endswith(TEMPORARY_SUFFIX) else None
        if status is not None and shape_of(status) is Shape.FILE:
            context.fs.remove_file(path)


def _begun(context: Context, attempt: str | None) -> tuple[LogLine, ...]:
    begun: dict[str, LogLine] = {}
    for line in context.log.read():
        if line.event == BEGIN and line.attempt != attempt:
            begun[line.attempt] = line
        elif line.event == END:
            begun.pop(line.attempt, None)
    return tuple(begun.values())


def _start_again(context: Context, begin: LogLine) -> None:
    """Start the engine when it was stopped for an attempt whose journal is gone; its lines tell."""
    lines = [line for line in context.log.read() if line.attempt == begin.attempt]
    if not any(line.values.get("running") == "yes" for line in lines) or context.supervisor.is_running():
        return
    try:
        context.supervisor.start()
    except EngineTrouble as err:
        logger.error("engine not started again", extra={"code": err.code, "reason": err.message})


def _report_interrupted(context: Context, line: LogLine) -> None:
    """The one report of an attempt whose journal is gone; what it says of versions is what is on disk."""
    if context.engine_id is None:
        return
    try:
        check_id("att", line.attempt)
    except PackagesError:
        return  # a hand-written line; it gets its END, but nobody else knows of it
    tree = tree_in(context, context.paths.engine)
    logger.warning("attempt without a journal ended", extra={"attempt": line.attempt})
    context.outbox.put(
        Report(
            attempt=line.attempt,
            engine=context.engine_id,
            product=context.settings.product,
            outcome=Outcome.ABORTED,
            code=INTERRUPTED,
            message="the attempt was interrupted and its journal is gone",
            from_version=_version(line.values.get("from")),
            to_version=_version(line.values.get("to")),
            version=None if tree is None else tree.manifest.version,
            started=line.at,
            ended=context.now(),
            updater_version=context.updater_version,
            kind=line.values.get("kind", "update"),
            update_log=context.log.lines(line.attempt),
        )
    )


def _version(text: str | None) -> Version | None:
    try:
        return None if text is None else Version.parse(text)
    except PackagesError:
        return None
