"""An engine that is a unit of a real systemd: stopped and started by systemctl, and by nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engineshed_packages import exits
from tests.server.serve.processes import wait_until
from tests.systemd.site import PRODUCT, Site
from tests.vendor import Vendor

UNIT = "unit-engine.service"
RECOVER = "engineshed-recover-unit.service"
BASE = "/src/unit"
PORT = 8751
PROGRAM = "/opt/engineshed/bin/engineshed-client"
BROKEN = "2.9.0"
# Where a distribution's packages put theirs, so that an administrator can mask it.
UNIT_FILE = Path("/usr/lib/systemd/system") / UNIT
UNIT_TEXT = f"""\
[Service]
Environment=SAMPLE_ENGINE_PORT={PORT} SAMPLE_ENGINE_BEHAVIOUR={BROKEN}=exit-at-once PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/python3 {BASE}/engine/bin/engine.py
[Install]
WantedBy=multi-user.target
"""
SETTINGS = f"""\
product = "{PRODUCT}"
[engine]
supervisor = "systemd"
service = "{UNIT}"
probe_url = "http://127.0.0.1:{PORT}/health"
good_ticks = 3
interval_s = 1
max_ticks = 20
"""


class UnitEngine:
    """A base of its own in the container, whose engine is a unit, updated from bundles."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.base = site.sources / "unit"
        (self.base / "update").mkdir(parents=True)
        self.vendor = Vendor(site.folder, products=(PRODUCT,), name="unit-vendor")
        (self.base / "update/trusted_root.json").write_bytes(self.vendor.root)
        (self.base / "update/updater.toml").write_text(SETTINGS, "utf-8")
        self._patch = 0

    def next_bundle(self, version: str | None = None) -> tuple[str, str]:
        """A newer release: its version, and its bundle's path in the container."""
        self._patch += 1
        version = version or f"2.0.{self._patch}"
        self.site.release(version, vendor=self.vendor)
        bundle = self.vendor.bundle(version, product=PRODUCT)
        shutil.copy2(bundle, self.site.sources / bundle.name)
        return version, f"/src/{bundle.name}"

    def install(self, version: str | None = None) -> tuple[int, dict[str, Any]]:
        """Install a newer release: exit code and what the command said; JSON of any shape."""
        _, bundle = self.next_bundle(version)
        done = self.site.container.try_run(PROGRAM, "--base", BASE, "--json", "install", bundle)
        return done.returncode, json.loads(done.stdout)

    def version(self) -> str | None:
        """What the engine that runs says of itself."""
        answer = self.site.get("/version", PORT)
        return None if answer is None else str(json.loads(answer[1])["version"])

    def unit(self, name: str) -> str:
        """A property of the engine's unit."""
        return self.site.container.show(UNIT, name)[name]

    def state(self) -> str | None:
        """The state in the journal."""
        try:
            found: dict[str, str] = json.loads((self.base / "update/work/journal.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found["state"]

    def lines(self, attempt: str) -> list[str]:
        """The lines of update.log about *attempt*."""
        return [line for line in self.log().splitlines() if f"attempt={attempt}" in line]

    def log(self) -> str:
        """update.log."""
        return (self.base / "update/work/logs/update.log").read_text("utf-8")


@pytest.fixture(scope="module")
def engine(site: Site) -> Iterator[UnitEngine]:
    """Installed, enabled, running."""
    made = UnitEngine(site)
    container = site.container
    container.run("sh", "-c", f"cat > {UNIT_FILE}", stdin=UNIT_TEXT)
    container.run("systemctl", "daemon-reload")
    code, said = made.install()
    assert code == exits.DONE, said
    container.run("systemctl", "enable", UNIT)
    service = (PROGRAM, "--base", BASE, "service")
    container.run(*service, "install", "--user", "root", "--name", "unit")
    # It has no portal: what is left is the recovery.
    container.run("systemctl", "disable", "engineshed-updater-unit.service")
    yield made
    container.run("systemctl", "disable", "--now", UNIT)
    container.run(*service, "remove", "--user", "root", "--name", "unit")


def test_an_update_is_a_stop_and_a_start_of_the_unit(engine: UnitEngine) -> None:
    container = engine.site.container
    before = engine.unit("InvocationID")
    # A reader of a log, as an administrator has one open for days.
    container.run("systemd-run", "--unit=reader", "tail", "-f", f"{BASE}/engine/logs/engine.log")
    code, said = engine.install()
    assert (code, said["outcome"], said["probed"]) == (exits.DONE, "OK", True), said
    assert engine.version() == said["version"]
    assert engine.unit("InvocationID") != before
    told = container.run("journalctl", "--no-pager", "--output=cat", f"--grep=attempt={said['attempt']}")
    assert told.splitlines() == [f"engineshed-client: {line}" for line in engine.lines(said["attempt"])]
    assert (engine.unit("ActiveState"), engine.unit("UnitFileState")) == ("active", "enabled")
    assert container.show("reader.service", "ActiveState")["ActiveState"] == "active"
    container.run("systemctl", "stop", "reader.service")


def test_a_unit_that_the_admin_stopped_and_disabled_stays_so(engine: UnitEngine) -> None:
    engine.site.container.run("systemctl", "disable", "--now", UNIT)
    code, said = engine.install()
    assert (code, said["outcome"], said["probed"]) == (exits.DONE, "OK", False), said
    assert (engine.unit("ActiveState"), engine.unit("UnitFileState")) == ("inactive", "disabled")
    engine.site.container.run("systemctl", "enable", "--now", UNIT)
    wait_until(lambda: engine.version() == said["version"], "the new engine runs")


def test_what_the_unit_leaves_in_its_group_is_ended_before_the_swap(engine: UnitEngine) -> None:
    """Neither executable nor working directory nor an open file shows that this process is the engine's."""
    container = engine.site.container
    text = "[Service]\nKillMode=process\nExecStartPost=/bin/sh -c 'cd /; sleep 86399 >/dev/null 2>&1 &'\n"
    with engine.site.drop_in(UNIT, text):
        container.run("systemctl", "restart", UNIT)
        left = container.run("pgrep", "-f", "sleep 86399").split()
        code, said = engine.install()
        assert code == exits.DONE, said
        assert len(left) == 1
        assert container.try_run("kill", "-0", *left).returncode != 0
    container.run("pkill", "-f", "sleep 86399")
    container.run("systemctl", "restart", UNIT)


def test_a_masked_unit_is_not_stopped(engine: UnitEngine) -> None:
    container = engine.site.container
    before = engine.unit("InvocationID")
    container.run("systemctl", "mask", UNIT)
    try:
        code, said = engine.install()
    finally:
        container.run("systemctl", "unmask", UNIT)
    assert (code, said["outcome"], said["code"]) == (exits.FAILED, "ABORTED", "engine-service"), said
    assert engine.unit("InvocationID") == before


def test_a_release_that_ends_at_once_is_rolled_back(engine: UnitEngine) -> None:
    wait_until(lambda: engine.version() is not None, "the engine has started again")
    before = engine.version()
    code, said = engine.install(BROKEN)
    assert (code, said["outcome"]) == (exits.ROLLED_BACK, "ROLLED_BACK"), said
    assert "exit=3" in engine.log()
    died = [line for line in engine.log().splitlines() if " DIED " in line]
    assert UNIT in died[-1].partition("said=")[2]  # what the unit's journal says
    wait_until(lambda: engine.version() == before, "the old engine runs")


def test_a_power_cut_in_an_update_is_recovered_before_the_unit_starts(engine: UnitEngine) -> None:
    container = engine.site.container
    version, bundle = engine.next_bundle("2.10.0")
    container.run("systemd-run", "--unit=by-hand", PROGRAM, "--base", BASE, "install", bundle)
    wait_until(lambda: engine.state() == "PROBING", "the new engine is probed", patience_s=60)
    container.cut_power()
    engine.site.boot()

    # The recovery came first, did not wait for an engine that waited for it, and left the rest to be probed.
    recovered = container.show(RECOVER, "Result", "ActiveEnterTimestampMonotonic")
    assert recovered["Result"] == "success"
    assert int(recovered["ActiveEnterTimestampMonotonic"]) <= int(
        engine.unit("ExecMainStartTimestampMonotonic")
    )
    assert engine.state() == "STARTING"
    container.run(PROGRAM, "--base", BASE, "recover")
    assert engine.state() is None
    assert engine.version() == version
    (end,) = [line for line in engine.log().splitlines() if " END " in line and version in line]
    assert "outcome=OK" in end
    assert "probed=yes" in end
