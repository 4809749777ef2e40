"""A base that has joined a scripted portal, with a real vendor, a real machine and a real little engine.

    base = JoinedBase(tmp_path, portal, vendor)
    base.install("1.0.0")                    # from a bundle, started and probed
    done = base.cycle().run()                # as the agent does

Only waiting is left out: ticks follow each other without pause.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engineshed_client import machine
from engineshed_client.agent import Cycle, Parts, connect, open_base
from engineshed_client.cli.main import main
from engineshed_client.enrol import Joining, enrol
from engineshed_client.fsops import FsOps
from engineshed_client.journal import Journal
from engineshed_client.paths import Paths
from engineshed_client.settings import load_settings
from engineshed_client.steps.beginning import begin_install
from engineshed_client.steps.context import Context
from engineshed_packages.protocol import Outcome
from tests.client.scripted_portal import ScriptedPortal
from tests.vendor import Vendor


def at_once(seconds: float) -> None:
    """A sleep that does not wait."""


class JoinedBase:
    """One base; ``close`` stops the engine."""

    def __init__(self, folder: Path, portal: ScriptedPortal, vendor: Vendor) -> None:
        folder.mkdir()
        self.portal = portal
        self.vendor = vendor
        self.paths = Paths(folder)
        joining = Joining(
            line=portal.line,
            product=vendor.product,
            platform="any",
            trusted_root=vendor.root_file,
            ca_file=None,
            version=None,
        )
        enrol(joining, self.paths, FsOps())
        with self.paths.settings.open("a") as file:
            file.write("poll_s = 1\n[engine]\ngood_ticks = 1\nmax_ticks = 5\n")
        portal.server.requests.clear()
        self.context = self._open()
        self._parts: list[Parts] = []

    def _open(self) -> Context:
        settings = load_settings(self.paths.base, environ={}, flags={})
        return replace(open_base(settings), sleep=at_once)

    def install(self, version: str) -> None:
        """Release *version* and install it from its bundle."""
        target = self.vendor.release(version)
        self.portal.publish(self.vendor)
        journal = begin_install(self.context, target, bundle=self.vendor.bundle(version))
        assert machine.run(self.context, journal) is Outcome.OK

    def parts(self) -> Parts:
        """The parts of an updater process of this base."""
        self._parts.append(connect(self.context))
        return self._parts[-1]

    def cycle(self) -> Cycle:
        """An updater process of this base, before its first cycle."""
        return Cycle(self.parts())

    @property
    def version(self) -> str:
        """What stands in the engine's VERSION file."""
        return (self.paths.engine / "VERSION").read_text()

    @property
    def journal(self) -> Journal | None:
        """The journal on disk."""
        return self.context.journals.load()

    def log_lines(self, event: str) -> list[str]:
        """The lines of update.log about *event*."""
        return [line.text() for line in self.context.log.read() if line.event == event]

    def command(self, *arguments: str) -> int:
        """Run ``engineshed-client`` in this process."""
        return main(["--base", str(self.paths.base), *arguments])

    def close(self) -> None:
        """Stop the engine and close connections."""
        for parts in self._parts:
            parts.portal.close()
        self.context.supervisor.stop(5)
