"""``run`` and ``recover``: what the service manager calls."""

from __future__ import annotations

from engineshed_client import machine
from engineshed_client.agent import Stop, connect, open_base, run
from engineshed_client.cli.frame import Frame
from engineshed_client.cli.launched import find_own, start_again
from engineshed_client.errors import Locked, client_boundary
from engineshed_client.journal import Journal, JournalUnreadable
from engineshed_client.steps.context import Context
from engineshed_packages import exits
from engineshed_packages.protocol import Outcome


def run_run(frame: Frame) -> int:
    """Poll and update until SIGTERM."""
    stop = Stop()
    show = frame.progress()

    def progress(received: int, total: int) -> None:
        stop.check()
        show(received, total)

    context = open_base(frame.settings(unknown="pass"), progress)
    own = find_own(context)
    parts = connect(context, own)
    frame.output.talk(f"updater of {parts.context.paths.engine}, engine {parts.credentials.engine}")
    with stop.on_signals():
        is_over = run(parts, stop)
    if is_over and own is not None:
        frame.output.talk("the launcher chooses the updater that goes on")
        return start_again(own.launched)
    frame.output.talk("stopped")
    return exits.DONE


def run_recover(frame: Frame) -> int:
    """Bring what an interrupted updater left to its end; to be called before the engine starts at boot.

    Where a living updater starts the engine, systemd may call this first: neither may wait for the other.
    """
    context = frame.open_base(unknown="pass")
    if _is_looked_after(context):
        frame.output.result({"found": None}, "another updater works on this base; the engine may start")
        return exits.DONE
    with frame.locked(context):
        found = machine.recover(context)
    if isinstance(found, Journal):
        text = f"attempt {found.attempt} is in {found.state}: the running updater goes on with it"
        frame.output.result({"found": found.state.value, "attempt": found.attempt}, text)
    elif isinstance(found, Outcome):
        frame.output.result({"found": found.value}, f"an interrupted attempt was ended: {found.value}")
    else:
        frame.output.result({"found": None}, "nothing was left to be recovered")
    return exits.DONE


def _is_looked_after(context: Context) -> bool:
    """Whether a living updater has the base in its hands, and an engine there that may be started."""
    try:
        with client_boundary(), context.fs.lock(context.paths.lock):
            return False
    except Locked:
        try:
            journal = context.journals.load()
        except JournalUnreadable:
            return False
        return journal is None or journal.state not in machine.BETWEEN_ENGINES
