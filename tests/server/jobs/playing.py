"""A worker or a beat with kinds for tests, as a process:  python -m tests.server.jobs.playing worker CONFIG

What it does leaves a line in ``effects`` beside the configuration. Leases are short: tests wait for them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from engineshed_server.jobs.beat import run_beat
from engineshed_server.jobs.worker import run_worker
from engineshed_server.serve.children import die_with_parent
from engineshed_server.serve.logs import configure_logs
from engineshed_server.services.jobs import running
from engineshed_server.services.jobs.kinds import JobKind, Kinds, Run
from engineshed_server.services.portal import Portal
from engineshed_server.settings import load_settings

LEASE = timedelta(seconds=2)
KEEP_EVERY_S = 0.3


def note(portal: Portal, run: Run) -> None:
    """Leaves one line."""
    _leave(portal, str(run.arguments["line"]))


def wait(portal: Portal, run: Run) -> None:
    """Leaves a line when it begins, waits for the file ``go``, and leaves another one."""
    _leave(portal, "begun")
    while not (_folder(portal) / "go").exists():
        run.reach(1, 2)
        time.sleep(0.05)
    _leave(portal, "ended")


def endless(portal: Portal, run: Run) -> None:
    """Never ends by itself."""
    while True:
        time.sleep(0.05)


def deaf(portal: Portal, run: Run) -> None:
    """Never ends, and does not hear that it should."""
    _leave(portal, "begun")
    while True:
        try:
            time.sleep(0.05)
        except Exception:
            _leave(portal, "told")


def _folder(portal: Portal) -> Path:
    return portal.settings.data_dir.parent


def _leave(portal: Portal, line: str) -> None:
    with (_folder(portal) / "effects").open("a") as effects:
        effects.write(line + "\n")  # one write, at the end of the file: whole, whoever else writes


KINDS: Kinds = {
    kind.name: kind
    for kind in (
        JobKind(name="note", work=note),
        JobKind(name="wait", work=wait),
        JobKind(name="endless", work=endless, soft_limit_s=3, max_attempts=1),
        JobKind(name="deaf", work=deaf, soft_limit_s=1, grace_s=1, max_attempts=1),
    )
}


def main(role: str, config: str) -> int:
    vars(running).update(LEASE=LEASE, KEEP_EVERY_S=KEEP_EVERY_S)
    settings = load_settings(Path(config), {})
    configure_logs("info", "plain")
    if role == "worker":
        return run_worker(settings, KINDS, on_fork=lambda parent: die_with_parent(signal.SIGKILL, parent))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_about: stopping.set())
    run_beat(settings, KINDS, stopping=stopping)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(*sys.argv[1:]))
