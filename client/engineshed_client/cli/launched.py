"""What ``run`` has to do with the launcher that started it; ``self-test``, which an older updater calls."""

from __future__ import annotations

import os
import sys

from engineshed_client.agent import OwnUpdate, connect
from engineshed_client.agent.pending import PendingFile
from engineshed_client.cli.frame import Frame
from engineshed_client.own import LaunchedAs, OwnFile, find_launched
from engineshed_client.steps.context import Context
from engineshed_packages import __version__, exits
from engineshed_packages.versions import Version


def find_own(context: Context) -> OwnUpdate | None:
    """How this process installs newer versions of itself; None when no launcher started it."""
    launched = find_launched(context.paths, os.environ)
    return None if launched is None else OwnUpdate(launched, Version.parse(__version__))


def start_again(launched: LaunchedAs) -> int:
    """Let the launcher choose: this process becomes it, on Windows it is still there."""
    if sys.platform != "win32":
        # -P: what lies beside the launcher is no library of its.
        os.execv(sys.executable, [sys.executable, "-P", str(launched.launcher), *sys.argv[1:]])
    return exits.START_AGAIN


def run_self_test(frame: Frame) -> int:
    """Read all that this base holds and speak to its portal; change nothing."""
    context = frame.open_base(unknown="pass")
    parts = connect(context)
    context.journals.load()
    PendingFile(context.paths, context.fs).load()
    OwnFile(context.paths, context.fs).load()
    parts.installed.version()
    context.outbox.waiting()
    context.log.read()
    parts.portal.try_out()
    text = f"engineshed-client {__version__} works on {context.paths.base}"
    frame.output.result({"version": __version__, "engine": parts.credentials.engine}, text)
    return exits.DONE
