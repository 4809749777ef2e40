"""Hosts that lack something: the cryptography library, room on the disk."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.little_engine import wait_until
from tests.e2e.sample_parties import EngineHost, PortalProcess, SampleVendor
from tests.small_disk import small_disk

PRODUCTS = ("sample-bare", "sample-small")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> SampleVendor:
    return SampleVendor(tmp_path_factory.mktemp("support"), products=PRODUCTS)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, vendor: SampleVendor) -> Iterator[PortalProcess]:
    with PortalProcess(tmp_path_factory.mktemp("portal"), vendor.root_file) as portal:
        yield portal


def join(host: EngineHost, portal: PortalProcess, vendor: SampleVendor) -> None:
    """Enrol *host*, install 1.0.0 from a bundle, and publish 1.1.0."""
    for done in (
        host.enrol(portal.lasting_line),
        host.client("install", str(vendor.bundle(host.product, "1.0.0"))),
    ):
        assert done.returncode == 0, done.stderr
    portal.upload(vendor.bundle(host.product, "1.1.0"))
    wait_until(lambda: host.client("check").returncode == 100)


def test_an_updater_without_cryptography_enrols_installs_and_updates(
    tmp_path: Path, portal: PortalProcess, vendor: SampleVendor
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "cryptography.py").write_text("raise ImportError('not on this host')\n")
    proof = [sys.executable, "-c", "import cryptography"]
    environment = {"PYTHONPATH": str(blocked)}
    assert subprocess.run(proof, env={**os.environ, **environment}, capture_output=True).returncode != 0
    with EngineHost(
        tmp_path / "base",
        product="sample-bare",
        root_file=vendor.root_file,
        updater_environment=environment,
    ) as host:
        join(host, portal, vendor)
        done = host.client("update")
        assert (done.returncode, host.version) == (0, "1.1.0"), done.stderr


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of its own, small enough to be filled."""
    with small_disk(tmp_path / "disk", 64 * 1024 * 1024) as made:
        yield made.folder


def leave_room_for(files: int, disk: Path) -> None:
    """Let *disk* take only so many files more: the kernel itself says then that it is full."""
    now = os.statvfs(disk)
    limit = now.f_files - now.f_ffree + files
    subprocess.run(["mount", "-o", f"remount,nr_inodes={limit}", str(disk)], check=True)


def test_a_disk_that_fills_before_or_while_staging_costs_the_engine_nothing(
    disk: Path, portal: PortalProcess, vendor: SampleVendor
) -> None:
    base = disk / "base"
    with EngineHost(base, product="sample-small", root_file=vendor.root_file) as host:
        join(host, portal, vendor)
        before = (host.process, sorted(path.name for path in base.iterdir()))
        for files in range(1, 12):
            leave_room_for(files, disk)
            done = host.client("update")
            assert done.returncode == 74, (files, done.stdout, done.stderr)
            assert host.version == "1.0.0"
            assert (host.process, sorted(path.name for path in base.iterdir())) == before
            assert not (base / "update/work/staged").exists()
        ends = host.log("END")[1:]
        assert ends
        assert all("outcome=ABORTED code=disk-full" in line for line in ends), ends
        text = (base / "update/work/logs/update.log").read_text()
        assert re.search(r" FAULT attempt=att_\w+ state=STAGING code=disk-full .*work/staged/", text), text
        leave_room_for(1000, disk)
        done = host.client("update")
        assert (done.returncode, host.version) == (0, "1.1.0"), done.stderr
