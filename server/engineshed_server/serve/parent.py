"""The parent of the portal's processes: start, watch, restart with a growing pause, drain at the end.

One thread and no signal handlers: the signals are blocked and waited for one by one, so nothing ever
happens in the middle of something else. ``worker`` and ``beat`` become further plans in the same list.

    SIGTERM, SIGINT   drain: children get SIGTERM, finish what they are answering, at most ``drain_s``
    the same again    no more patience: everything is killed
    SIGHUP            passed on: gunicorn replaces its workers one by one
    SIGCHLD           somebody died: restart after a pause, unless the reason cannot heal by itself

``become_parent`` replaces the process that read the configuration by a fresh one with nothing in it but
this module: a parent that idles for months should not hold a web framework and a database in memory.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from engineshed_packages import exits
from engineshed_packages.jsontext import Fields, read_object, write_compact
from engineshed_server.serve.children import Child, ChildPlan, spawn
from engineshed_server.serve.logs import configure_logs

logger = logging.getLogger(__name__)

DRAIN_S = 30.0

MAX_TOLD_BYTES = 64 * 1024
_END = (signal.SIGTERM, signal.SIGINT)


def run(plans: Sequence[ChildPlan], *, drain_s: float = DRAIN_S) -> int:
    """Keep the children of *plans* running until a signal ends it; returns an exit code.

    A child that says its configuration is wrong (78) is not restarted: that cannot heal by itself, so
    the parent drains and says the same.
    """
    if sys.platform != "linux":
        raise NotImplementedError("the portal runs on Linux")
    waited_for = {*_END, signal.SIGHUP, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    children = [Child(plan, spawn) for plan in plans]
    try:
        return _Watch(children, waited_for, passed_on=signal.SIGHUP).run(drain_s)
    finally:
        for child in children:
            child.kill()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def become_parent(plans: Sequence[ChildPlan], *, log_level: str, log_format: str) -> NoReturn:
    """Replace this process, its number kept, by the parent of *plans*; their descriptors go along."""
    for plan in plans:
        for descriptor in plan.descriptors:
            os.set_inheritable(descriptor, True)
    told = write_compact(
        {"log_level": log_level, "log_format": log_format, "plans": [plan.to_dict() for plan in plans]}
    )
    # -P: whatever lies in the working directory is not imported
    words = [sys.executable, "-P", "-m", "engineshed_server.serve.parent", told.decode("utf-8")]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, words)


def main(argv: Sequence[str]) -> int:
    """What ``become_parent`` starts; *argv* is its one argument."""
    (told,) = argv
    fields = Fields(read_object(told.encode("utf-8"), what="plans", max_bytes=MAX_TOLD_BYTES), "plans")
    configure_logs(fields.text("log_level"), fields.text("log_format"))
    return run([ChildPlan.from_dict(values) for values in fields.objects("plans", max_items=16)])


class _Watch:
    def __init__(
        self, children: Sequence[Child], waited_for: set[signal.Signals], *, passed_on: signal.Signals
    ) -> None:
        self._children = children
        self._waited_for = waited_for
        self._passed_on = passed_on

    def run(self, drain_s: float) -> int:
        while True:
            now_s = time.monotonic()
            for child in self._children:
                child.start_when_due(now_s)
            received = self._next_signal(min(child.wait_s(now_s) for child in self._children))
            if received in _END:
                logger.info("draining", extra={"signal": received, "drain_s": drain_s})
                self._drain(drain_s)
                return exits.DONE
            if received == self._passed_on:
                self._tell(self._passed_on)
            codes = [child.reap(time.monotonic()) for child in self._children]
            if exits.CONFIGURATION in codes:
                self._drain(drain_s)
                return exits.CONFIGURATION

    def _drain(self, drain_s: float) -> None:
        """Let the children finish what they are doing; what is left afterwards is killed."""
        deadline_s = time.monotonic() + drain_s
        self._tell(signal.SIGTERM)
        while [child for child in self._children if not child.has_stopped()]:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or self._next_signal(left_s) in _END:
                logger.warning("not drained, killing", extra={"left_s": round(max(0.0, left_s), 1)})
                return

    def _tell(self, signal_number: int) -> None:
        for child in self._children:
            child.tell(signal_number)

    def _next_signal(self, longest_s: float) -> int | None:
        """The next of the blocked signals, or None after *longest_s* seconds."""
        if sys.platform != "linux":
            raise NotImplementedError("the portal runs on Linux")
        found = signal.sigtimedwait(self._waited_for, longest_s)
        return None if found is None else found.si_signo


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
