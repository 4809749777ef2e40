"""An engine that was unzipped long ago, and changed since, joins a portal and is updated by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from engineshed_packages.manifest import MANIFEST_NAME
from tests.client.little_engine import wait_until
from tests.e2e.sample_parties import COMMAND_S, EngineHost
from tests.e2e.site import Site

CUSTOMERS = "# the customer's own\nbehaviour = 'good'\n"
PATCHED = "patched by hand\n"

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, slots=True)
class Adopted:
    """The host, its engine's process from before, and what the adoption printed."""

    host: EngineHost
    pid: int
    told: dict[str, Any]  # JSON, of any shape


@pytest.fixture(scope="module")
def adopted(site: Site) -> Iterator[Adopted]:
    """1.0.0 runs as somebody unzipped, changed and started it; then it is adopted while it runs."""
    host = site.new_host()
    target = site.vendor.release(host.product, "1.0.0")
    site.portal.upload(site.vendor.vendor.bundle("1.0.0", product=host.product))
    engine = host.base / "engine"
    with zipfile.ZipFile(site.vendor.vendor.repository.targets / target.download_name) as package:
        package.extractall(engine)
    (engine / MANIFEST_NAME).unlink()
    (engine / "conf" / "engine.toml").write_text(CUSTOMERS)
    (engine / "share" / "greeting.txt").write_text(PATCHED)
    (engine / "ext" / "lib").mkdir(parents=True, exist_ok=True)
    (engine / "ext" / "lib" / "driver.jar").write_text("a driver\n")
    (engine / "scripts").mkdir()
    (engine / "scripts" / "backup.sh").write_text("unlisted\n")
    process = subprocess.Popen(
        [sys.executable, str(engine / "bin" / "engine.py")],
        env={**os.environ, "SAMPLE_ENGINE_PORT": host.url.rpartition(":")[2]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: host.version == "1.0.0")
        done = host.client(
            *("--json", "enrol", "--trusted-root", str(site.vendor.root_file)),
            *("--adopt", "--version", "1.0.0"),
            stdin=site.portal.lasting_line + "\n",
        )
        assert done.returncode == 0, done.stderr
        yield Adopted(host, process.pid, json.loads(done.stdout))
    finally:
        process.kill()
        process.wait(COMMAND_S)


def test_the_adoption_lists_what_differs_from_the_release(site: Site, adopted: Adopted) -> None:
    differences = adopted.told["adopted"]["differences"]
    assert {kind: found["paths"] for kind, found in differences.items()} == {
        "changed": ["share/greeting.txt"],
        "missing": [],
        "extra": ["scripts/backup.sh"],
    }


def test_the_adoption_is_reported_and_does_not_touch_the_running_engine(site: Site, adopted: Adopted) -> None:
    assert (adopted.host.pid, adopted.host.version) == (adopted.pid, "1.0.0")
    shown = site.portal.engine(adopted.host.engine_id)
    assert (shown["version"], [one["kind"] for one in shown["attempts"]]) == ("1.0.0", ["adopt"])
    assert any("share/greeting.txt" in line for line in shown["attempts"][0]["update_log"])


def test_the_portal_updates_it_then_and_what_is_the_customers_survives(site: Site, adopted: Adopted) -> None:
    host, engine = adopted.host, adopted.host.base / "engine"
    host.start_updater()
    site.portal.upload(site.vendor.bundle(host.product, "1.1.0"))
    wait_until(lambda: host.version == "1.1.0" and len(host.log("END")) == 1)
    assert (engine / "conf" / "engine.toml").read_text() == CUSTOMERS
    assert (engine / "ext" / "lib" / "driver.jar").read_text() == "a driver\n"
    assert (engine / "scripts" / "backup.sh").read_text() == "unlisted\n"
    assert (engine / "share" / "greeting.txt").read_text() != PATCHED
    (previous,) = host.base.glob("engine_????????")
    assert (previous / "share" / "greeting.txt").read_text() == PATCHED
    assert host.pid != adopted.pid
