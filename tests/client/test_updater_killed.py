"""A real updater process is killed with SIGKILL in each state, beside a real engine; the next one recovers.

The engine is the sample engine, the supervisor, the probe and the disk are real.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_client.fsops import FsOps
from engineshed_client.install.trees import find_tree, list_previous
from engineshed_client.paths import Paths
from engineshed_client.settings import EngineSettings
from engineshed_client.supervisor import CommandSupervisor
from engineshed_packages.builder import build_package, sample_sources
from engineshed_packages.protocol import Outcome, Report
from engineshed_packages.versions import Version
from tests.conftest import require
from tests.vendor import Vendor

PATIENCE_S = 60.0
CUSTOMER = 'start_delay_s = 0.1\nbehaviour."1.1.0" = "{behaviour}"\n'


class Bundles:
    """Signed bundles of both versions of the sample engine."""

    def __init__(self, folder: Path) -> None:
        self.vendor = Vendor(folder)
        self.paths: dict[str, Path] = {}
        for version in ("1.0.0", "1.1.0"):
            built = build_package(
                sample_sources(version), version=Version.parse(version), platform="any", output=folder
            )
            self.vendor.release(version, packages=[built.path])
            self.paths[version] = self.vendor.bundle(version)


class Base:
    """One base with the sample engine, and updaters that come and go."""

    def __init__(self, folder: Path, bundles: Bundles) -> None:
        self.paths = Paths(folder / "base")
        self._reached = folder / "reached"
        self._bundles = bundles
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}/version"
        self._environment = {"SAMPLE_ENGINE_PORT": str(port)}
        self.paths.update.mkdir(parents=True, exist_ok=True)
        (self.paths.update / "trusted_root.json").write_bytes(bundles.vendor.root)
        self.paths.settings.write_text(
            'product = "sample-engine"\nplatform = "any"\n[engine]\n'
            f'probe_url = "http://127.0.0.1:{port}/health"\ngood_ticks = 2\nmax_ticks = 5\n'
            f'[engine.env]\nSAMPLE_ENGINE_PORT = "{port}"\n'
        )

    def customise(self, behaviour: str) -> None:
        (self.paths.engine / "conf/engine.toml").write_text(CUSTOMER.format(behaviour=behaviour))

    def _command(self, *words: str) -> list[str]:
        if words[0] == "install":
            words = (*words, str(self._bundles.paths[words[1]]))
        return [sys.executable, "-m", "tests.client.stopping_updater", str(self.paths.base), *words]

    def run(self, *words: str) -> str:
        """Run an updater to its end; the last word it says."""
        done = subprocess.run(self._command(*words), capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    def kill(self, place: str, *words: str) -> None:
        """Run an updater until it reaches *place*, and kill it there."""
        self._reached.unlink(missing_ok=True)
        child = subprocess.Popen(self._command(*words), env={**os.environ, "STOP_AT": place})
        end = time.monotonic() + PATIENCE_S
        while not self._reached.exists():
            assert child.poll() is None, f"the updater ended before it reached {place}"
            assert time.monotonic() < end, f"{place} was not reached"
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()

    def answers(self) -> str:
        """What the running engine says of its version; one that was just started takes a while."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(self._url, timeout=10) as answer:
                    return str(answer.read().decode())
            except OSError:
                assert time.monotonic() < end, "the engine does not answer"
                time.sleep(0.05)

    def supervisor(self) -> CommandSupervisor:
        return CommandSupervisor(self.paths, EngineSettings(env=self._environment), FsOps())

    def last_report(self) -> Report:
        return Report.from_bytes(max(self.paths.outbox.glob("*.json")).read_bytes())


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("vendor"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, bundles: Bundles) -> Path:
    """A base into which 1.0.0 was installed; its engine is stopped."""
    require(sys.platform == "linux", "processes are killed and searched for as on Linux")
    base = Base(tmp_path_factory.mktemp("installed"), bundles)
    assert base.run("install", "1.0.0") == "OK"
    base.supervisor().stop(5)
    return base.paths.base


@pytest.fixture
def base(tmp_path: Path, bundles: Bundles, installed: Path) -> Iterator[Base]:
    shutil.copytree(installed, tmp_path / "base")
    base = Base(tmp_path, bundles)
    base.customise("good")
    supervisor = base.supervisor()
    supervisor.start()
    base.answers()
    yield base
    supervisor.stop(5)


def _check(base: Base, version: str, outcome: Outcome, *, begins: int = 2) -> None:
    tree = find_tree(base.paths.engine)
    assert tree is not None
    assert tree.is_whole()
    assert tree.manifest.version.text == version
    assert f'"{version}"' in base.answers()
    report = base.last_report()
    assert report.outcome is outcome
    assert report.version == Version.parse(version)
    text = base.paths.update_log.read_text()
    assert (text.count(" BEGIN "), text.count(" END ")) == (begins, begins)
    assert "start_delay_s = 0.1" in (base.paths.engine / "conf/engine.toml").read_text()
    for gone in (base.paths.staged, base.paths.journal):
        assert not gone.exists()
    assert list(base.paths.download.iterdir()) == []
    assert len(list_previous(base.paths)) == (version == "1.1.0")


@pytest.mark.parametrize(
    ("place", "version", "outcome"),
    [
        ("DOWNLOADING", "1.1.0", Outcome.OK),
        ("VERIFYING", "1.1.0", Outcome.OK),
        ("STAGING", "1.1.0", Outcome.OK),
        ("STAGED", "1.1.0", Outcome.OK),
        ("STOPPING", "1.0.0", Outcome.ABORTED),
        ("CARRYING", "1.0.0", Outcome.ABORTED),
        ("SWAPPING", "1.0.0", Outcome.ABORTED),
        ("exchange", "1.1.0", Outcome.OK),
        ("STARTING", "1.1.0", Outcome.OK),
        ("PROBING", "1.1.0", Outcome.OK),
        ("COMMITTED", "1.1.0", Outcome.OK),
    ],
)
def test_killed_on_the_way_forward(base: Base, place: str, version: str, outcome: Outcome) -> None:
    base.kill(place, "install", "1.1.0")
    base.run("recover")
    _check(base, version, outcome)


@pytest.mark.parametrize("place", ["ROLLING_BACK", "ROLLED_BACK"])
def test_killed_on_the_way_back(base: Base, place: str) -> None:
    base.customise("wrong-version")
    base.kill(place, "install", "1.1.0")
    base.run("recover")
    _check(base, "1.0.0", Outcome.ROLLED_BACK)
    assert base.last_report().code == "unhealthy"
    assert find_tree(base.paths.failed) is not None


def test_killed_while_giving_up(base: Base) -> None:
    base.paths.settings.write_text('unlisted = "refuse"\n' + base.paths.settings.read_text())
    (base.paths.engine / "own.txt").touch()
    base.kill("ABORTED", "install", "1.1.0")
    base.run("recover")
    _check(base, "1.0.0", Outcome.ABORTED)
    assert base.last_report().code == "unlisted-files"


def test_killed_in_ruin(base: Base) -> None:
    # Once stopped, neither version comes up again.
    (base.paths.engine / "conf/engine.toml").write_text('start_delay_s = 0.1\nbehaviour = "exit-at-once"\n')
    base.kill("BROKEN", "install", "1.1.0")
    assert base.run("recover") == "BROKEN"
    assert base.last_report().outcome is Outcome.BROKEN
    tree = find_tree(base.paths.engine)
    assert tree is not None
    assert (tree.is_whole(), tree.manifest.version.text) == (True, "1.0.0")
    assert base.paths.update_log.read_text().count(" END ") == 2


def test_killed_in_a_rollback(base: Base) -> None:
    assert base.run("install", "1.1.0") == "OK"
    base.kill("PROBING", "rollback")
    base.run("recover")
    tree = find_tree(base.paths.engine)
    assert tree is not None
    assert (tree.is_whole(), tree.manifest.version.text) == (True, "1.0.0")
    assert '"1.0.0"' in base.answers()


def test_a_recovery_that_is_killed_is_recovered_from(base: Base) -> None:
    base.kill("exchange", "install", "1.1.0")
    base.kill("STARTING", "recover")
    base.kill("PROBING", "recover")
    base.run("recover")
    _check(base, "1.1.0", Outcome.OK)
