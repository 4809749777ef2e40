"""A joined base whose updater installs newer versions of itself, launched as the launcher would.

    host = OwnHost(tmp_path, portal, vendor)
    host.release("1.1.0")                   # a stand-in for the single file: it answers the self-test
    host.order("1.1.0")
    host.boot()                             # what the launcher chooses runs until it waits; its name

The launcher, the folders, the machine, the vendor and the self-test's process are real. A version that runs
is this test's code, told which version it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engineshed_client import launcher
from engineshed_client.agent import Parts, connect
from engineshed_client.agent.loop import Loop
from engineshed_client.agent.own_updating import OwnUpdate
from engineshed_client.fsops import FsOps
from engineshed_client.journal import JournalFile
from engineshed_client.own import PROGRAM, LaunchedAs
from engineshed_client.reports import Outbox, UpdateLog
from engineshed_client.seen import SeenFile
from engineshed_packages.protocol import Report
from engineshed_packages.target import UPDATER_PRODUCT, Target
from engineshed_packages.versions import Version
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import ScriptedPortal
from tests.vendor import Vendor

INSTALLED = "0.9.0"
ANSWERS = "import json\nprint(json.dumps({{'version': {version!r}}}))\n"
MAX_BOOTS = 8

_DESCRIPTION = """\
product = "engineshed-client"
[start]
command = ["{python}", "-I", "-S", "{engine}/engineshed-client.pyz", "run"]
[probe]
command = ["{python}", "-I", "-S", "{engine}/engineshed-client.pyz", "self-test"]
"""


def release_updater(vendor: Vendor, version: str, program: str | None = None) -> Target:
    """Release a stand-in for the updater; *program* is what its single file holds."""
    text = program if program is not None else ANSWERS.format(version=version)
    package = vendor.package(
        version,
        product=UPDATER_PRODUCT,
        files={PROGRAM: text.encode("utf-8")},
        description=_DESCRIPTION,
    )
    return vendor.release(version, product=UPDATER_PRODUCT, packages=[package])


class OwnHost:
    """One base; its installed updater is version 0.9.0."""

    def __init__(self, folder: Path, portal: ScriptedPortal, vendor: Vendor) -> None:
        self.base = JoinedBase(folder, portal, vendor)
        self.portal = portal
        self.updater = self.base.paths.updater
        self.booted: list[str] = []
        self.alarms_off = 0

    def order(self, target: Target, **changes: object) -> None:
        """Let each poll be answered by one order to install *target*."""
        self.portal.publish(self.base.vendor)
        self.portal.answer_polls(self.portal.offer(self.portal.order(target, **changes)))

    def parts(self, fs: FsOps, name: str | None) -> Parts:
        """An updater process of the version *name*, or the installed one."""
        version = Version.parse(name or INSTALLED)
        before = self.base.context
        context = replace(
            before,
            fs=fs,
            log=UpdateLog(before.paths, fs, now=before.now, echo=lambda line: None),
            outbox=Outbox(before.paths, fs),
            seen=SeenFile(before.paths, fs),
            journals=JournalFile(before.paths, fs),
            updater_version=version.text,
        )
        own = OwnUpdate(LaunchedAs(Path(launcher.__file__), name), version, alarm_off=self._alarm_off)
        return connect(context, own)

    def _alarm_off(self) -> None:
        self.alarms_off += 1

    def choose(self) -> str | None:
        """What the launcher starts now; it must be there."""
        program = launcher.choose(self.updater)
        if program == launcher.INSTALLED:
            return None
        assert Path(program[-1]).is_file()
        return Path(program[-1]).parent.name

    def boot(
        self,
        fs: FsOps | None = None,
        *,
        comes_up: Callable[[str], bool] = lambda name: True,
        cycles: int = 3,
    ) -> str:
        """Let the launcher start updaters until one ran *cycles* cycles; the version of that one."""
        for _ in range(MAX_BOOTS):
            name = self.choose()
            version = name or INSTALLED
            self.booted.append(version)
            if not comes_up(version):
                continue  # it ended by itself
            parts = self.parts(fs or FsOps(), name)
            try:
                if not self._run(parts, cycles):
                    return version
            finally:
                parts.portal.close()
        raise AssertionError(f"no version stayed: {self.booted}")

    def _run(self, parts: Parts, cycles: int) -> bool:
        loop = Loop(parts)
        for _ in range(cycles):
            loop.once()
            if loop.is_over:
                return True
        return False

    def reports(self) -> list[Report]:
        """What the portal was told of own updates."""
        return [report for report in self.portal.reports() if report.product == UPDATER_PRODUCT]

    def pointers(self) -> tuple[str | None, str | None]:
        """What current.txt and previous.txt say."""
        files = (self.updater / "current.txt", self.updater / "previous.txt")
        current, previous = (path.read_text().strip() if path.exists() else None for path in files)
        return current, previous

    def versions(self) -> list[str]:
        """The folders in ``update/updater``."""
        return sorted(path.name for path in self.updater.iterdir() if path.is_dir())

    def close(self) -> None:
        """Stop what runs."""
        self.base.close()
