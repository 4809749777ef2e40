"""What every command starts from: its arguments, how it speaks, its base, and the updater's lock."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engineshed_client import machine
from engineshed_client.agent import open_base
from engineshed_client.cli import codes
from engineshed_client.cli.output import Output
from engineshed_client.errors import Locked, client_boundary
from engineshed_client.fsops import FsOps
from engineshed_client.journal import Journal
from engineshed_client.machine import Waiting
from engineshed_client.paths import Paths
from engineshed_client.settings import Settings, find_base, load_settings
from engineshed_client.steps.context import Context
from engineshed_packages import exits
from engineshed_packages.progress import Show, choose
from engineshed_packages.protocol import Outcome

# A cycle of the running updater that finds no news is over in this time; an update is not.
LOCK_WAIT_S = 10.0
_TRY_EVERY_S = 0.1
NOT_STARTED = " (not started: it was not running before)"


@dataclass(frozen=True, slots=True)
class Frame:
    """One call of the command line."""

    arguments: argparse.Namespace
    output: Output

    def base(self) -> Path:
        """The base folder.

        Raises:
            SettingsRefused: none is named, or there is none.
        """
        return find_base(self.arguments.base, os.environ)

    def settings(self, *, unknown: Literal["refuse", "pass"] = "refuse") -> Settings:
        """The settings of the base; *unknown* as in ``load_settings``.

        Raises:
            SettingsRefused: all faults.
        """
        pairs = [*self.arguments.set, *self.arguments.set_behind]
        flags = dict(pair.partition("=")[::2] for pair in pairs)
        return load_settings(self.base(), environ=os.environ, flags=flags, unknown=unknown)

    def open_base(self, *, unknown: Literal["refuse", "pass"] = "refuse") -> Context:
        """The context for a local command; *unknown* as in ``load_settings``.

        Raises:
            SettingsRefused: as ``settings``.
        """
        return open_base(self.settings(unknown=unknown), self.progress())

    def progress(self) -> Show:
        """How downloads are shown."""
        wanted = not self.output.quiet and not self.arguments.no_progress
        return choose(sys.stderr, as_json=self.output.as_json, wanted=wanted)

    def locked(self, context: Context) -> AbstractContextManager[None]:
        """Hold the updater's lock of *context*'s base; as ``locked_base``."""
        return self.locked_base(context.paths, context.fs)

    @contextmanager
    def locked_base(self, paths: Paths, fs: FsOps) -> Iterator[None]:
        """Hold the updater's lock; a cycle of the running updater is waited for, an update is not.

        Raises:
            Locked: another updater works on this base.
            DiskTrouble: the lock cannot be made, or the block met the disk.
        """
        deadline, told = time.monotonic() + LOCK_WAIT_S, False
        with client_boundary():
            while True:
                lock = fs.lock(paths.lock)
                try:
                    lock.__enter__()
                    break
                except Locked:
                    if time.monotonic() >= deadline:
                        raise
                    if not told:
                        self.output.talk("waiting for another updater on this base")
                        told = True
                time.sleep(_TRY_EVERY_S)
            try:
                yield
            finally:
                lock.__exit__(None, None, None)

    def carry_out(self, context: Context, journal: Journal) -> int:
        """Run the attempt of *journal*, say how it ended, and return the exit code."""
        found = machine.run(context, journal)
        if isinstance(found, Waiting):
            self.output.talk(f"the attempt waits in {found.state}: the running updater goes on with it")
            return exits.TRY_LATER
        end = [line for line in context.log.read() if line.attempt == journal.attempt][-1]
        code, message = end.values.get("code", ""), end.values.get("message", "")
        probed = end.values.get("probed") == "yes"
        not_started = NOT_STARTED if found is Outcome.OK and not probed else ""
        origin = "none" if journal.origin is None else journal.origin.version.text
        self.output.result(
            {
                "attempt": journal.attempt,
                "outcome": found.value,
                "code": code,
                "message": message,
                "from": origin,
                "to": journal.goal.version.text,
                "version": end.values.get("version"),
                "probed": probed,
            },
            f"{found.value}: {context.settings.product} {origin} -> {journal.goal.version.text}"
            + (f" ({code}: {message})" if message else not_started),
        )
        return codes.of_outcome(found, code)
