"""Orders that are no attempt: to start, stop or restart the engine, to cancel, to change keys and portals.

What is asked is done through the supervisor, and told by one line in update.log and one report. Each may be
done twice, by an updater that was killed in between: the report's attempt id is derived from the order, so
that the portal counts it once. A stop leaves nothing that would start the engine again: neither a reboot nor
an update does, until there is an order, or an administrator, to start it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engineshed_client.agent.configuring import configure
from engineshed_client.agent.pending import Pending, PendingFile
from engineshed_client.errors import ClientError, DiskTrouble, Refused, SettingsRefused
from engineshed_client.steps.context import Context
from engineshed_client.steps.facts import tree_in
from engineshed_client.steps.proving import Health, probe_engine
from engineshed_client.steps.replacing import stop_engine
from engineshed_packages.ids import derived_id
from engineshed_packages.jsontext import escape_controls
from engineshed_packages.orders import CANCEL, CONFIGURE, RESTART, START, STOP, Order
from engineshed_packages.protocol import Outcome, Report

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARS = 2000  # of a report
OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of an order.

    Attributes:
        code, message: ``ok``, or the fault. probed: whether the engine was found well after its start.
        measured: the version it named itself.
    """

    outcome: Outcome = Outcome.OK
    code: str = OK
    message: str = ""
    probed: bool = False
    measured: str | None = None


def attempt_of(order: Order) -> str:
    """The id under which the order's report is counted once."""
    return derived_id("att", order.id, order.do)


def carry_out(context: Context, order: Order) -> Result:
    """Do what *order* asks, remember it before and tell of it after.

    Raises:
        DiskTrouble: it could not be remembered, or what became of it not be stored; ``finish`` goes on.
    """
    pending = Pending(order=order, started=context.now())
    PendingFile(context.paths, context.fs).save(pending)
    return _do(context, pending)


def finish(context: Context) -> Result | None:
    """Do the rest of an order that an earlier process, or a failed cycle, left; None when there is none.

    Raises:
        NewerSchema: a newer updater left it. DiskTrouble: as ``carry_out``.
    """
    file = PendingFile(context.paths, context.fs)
    try:
        pending = file.load()
    except DiskTrouble as err:
        if err.code != "order-file-unreadable":
            raise
        logger.error("order under way unreadable, set aside", extra={"reason": err.message})
        file.set_aside()
        return None
    return None if pending is None else _do(context, pending)


def _do(context: Context, pending: Pending) -> Result:
    order = pending.order
    try:
        result = VERBS[order.do](context, order)
    except ClientError as err:
        result = Result(outcome=Outcome.ABORTED, code=err.code, message=err.message)
    _tell(context, pending, result)
    seen = context.seen.load()
    context.seen.save(seen.with_answered(order.id))
    PendingFile(context.paths, context.fs).drop()
    return result


def start_engine(context: Context) -> Result:
    """Start the engine and probe it.

    Raises:
        Refused: code ``engine-missing``.
        ClientError: it is not started, or cannot be probed.
    """
    tree = tree_in(context, context.paths.engine)
    if tree is None:
        raise Refused("engine-missing", f"{context.paths.engine} holds no engine to be started")
    context.supervisor.start()
    try:
        probed = probe_engine(context, tree.manifest.version)
    except SettingsRefused as err:
        return Result(message=f"started, not probed: {err.message}")
    if probed.health is Health.GOOD:
        return Result(probed=True, measured=probed.measured)
    return Result(outcome=Outcome.ABORTED, code="unhealthy", message=probed.reason, measured=probed.measured)


def stop_now(context: Context) -> Result:
    """Stop the engine.

    Raises:
        StopFailed: a process is left.
    """
    stop_engine(context)
    return Result()


def restart_engine(context: Context) -> Result:
    """Stop the engine, start it and probe it.

    Raises:
        StopFailed, Refused, ClientError: as ``stop_now`` and ``start_engine``.
    """
    stop_engine(context)
    return start_engine(context)


def _cancel(context: Context, order: Order) -> Result:
    # An attempt under way is cancelled at its gate; only afterwards does the updater ask what is new.
    return Result(message="nothing that could be cancelled is under way")


def _configure(context: Context, order: Order) -> Result:
    return Result(message=configure(context, order))


VERBS: Mapping[str, Callable[[Context, Order], Result]] = {
    START: lambda context, order: start_engine(context),
    STOP: lambda context, order: stop_now(context),
    RESTART: lambda context, order: restart_engine(context),
    CANCEL: _cancel,
    CONFIGURE: _configure,
}


def _tell(context: Context, pending: Pending, result: Result) -> None:
    """One line in update.log, one report.

    Raises:
        DiskTrouble: the report could not be stored.
    """
    order, attempt = pending.order, attempt_of(pending.order)
    if not context.log.lines(attempt):
        context.log.event(
            attempt,
            "ORDER",
            do=order.do,
            order=order.id,
            outcome=result.outcome,
            code=result.code,
            probed=result.probed,
            message=result.message or None,
            why=order.message or None,
        )
    if context.engine_id is None:
        return
    tree = tree_in(context, context.paths.engine)
    version = None if tree is None else tree.manifest.version
    context.outbox.put(
        Report(
            attempt=attempt,
            engine=context.engine_id,
            product=context.settings.product,
            kind=order.do,
            outcome=result.outcome,
            code=result.code,
            message=escape_controls(result.message)[:MAX_MESSAGE_CHARS],
            from_version=version,
            to_version=version,
            version=version,
            measured_version=result.measured,
            started=pending.started,
            ended=context.now(),
            updater_version=context.updater_version,
            probed=result.probed,
            order=order.id,
            seq=order.seq,
            update_log=context.log.lines(attempt),
        )
    )
