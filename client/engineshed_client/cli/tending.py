"""``start``, ``stop``, ``restart`` and ``doctor``: an administrator looks after the engine."""

from __future__ import annotations

from collections.abc import Callable

from engineshed_client import machine
from engineshed_client.agent.carrying_out import Result, restart_engine, start_engine, stop_now
from engineshed_client.agent.doctor import Level, examine
from engineshed_client.cli.frame import Frame
from engineshed_client.cli.output import table
from engineshed_client.errors import ClientError, TryLater
from engineshed_client.journal import Journal
from engineshed_client.machine import UNHURRIED
from engineshed_client.steps.context import NO_ATTEMPT, Context
from engineshed_packages import exits
from engineshed_packages.protocol import Outcome


def run_start(frame: Frame) -> int:
    """Start the engine and probe it."""
    return _tend(frame, "start", start_engine)


def run_stop(frame: Frame) -> int:
    """Stop the engine; nothing starts it again but an administrator or an order."""
    return _tend(frame, "stop", stop_now)


def run_restart(frame: Frame) -> int:
    """Stop the engine, start it and probe it."""
    return _tend(frame, "restart", restart_engine)


def _tend(frame: Frame, do: str, act: Callable[[Context], Result]) -> int:
    """Do it, with one line in update.log whatever it comes to."""
    context = frame.open_base()
    with frame.locked(context):
        found = machine.recover(context)
        if isinstance(found, Journal) and found.state not in UNHURRIED:
            raise TryLater(
                "attempt-under-way", f"attempt {found.attempt} is in {found.state}: let it end first"
            )
        try:
            result = act(context)
        except ClientError as err:
            context.log.event(
                NO_ATTEMPT, "COMMAND", do=do, outcome=Outcome.ABORTED, code=err.code, message=err.message
            )
            raise
        context.log.event(
            NO_ATTEMPT,
            "COMMAND",
            do=do,
            outcome=result.outcome,
            code=result.code,
            probed=result.probed,
            message=result.message or None,
        )
    values = {"do": do, "outcome": result.outcome.value, "code": result.code, "message": result.message}
    text = f"{result.outcome}: {do} of {context.paths.engine}"
    frame.output.result(
        {**values, "probed": result.probed, "version": result.measured},
        text + (f" ({result.message})" if result.message else ""),
    )
    return exits.DONE if result.outcome is Outcome.OK else exits.FAILED


def run_doctor(frame: Frame) -> int:
    """Look at everything an update needs; 1 when something is at fault."""
    findings = list(examine(frame.open_base()))
    faults = [one.check for one in findings if one.level is Level.FAULT]
    rows = [[one.level.value, one.check, one.message] for one in findings]
    frame.output.result(
        {
            "faults": list(faults),
            "findings": [
                {"check": one.check, "level": one.level.value, "message": one.message} for one in findings
            ],
        },
        *table(("LEVEL", "CHECK", "FOUND"), rows),
    )
    return exits.FAILED if faults else exits.DONE
