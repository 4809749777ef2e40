"""Uploads against a portal that runs with two processes: cut lines, killed workers, restarts, full disks.

Both commands send the same way; each is used by some of the tests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engineshed_packages import exits
from tests.e2e.cutting_proxy import PIECE_BYTES, CuttingProxy
from tests.server.running import RunningPortal

BIG_BYTES = 12_000_000
OVERHEAD_BYTES = 40_000  # headers of all requests, and what stood in a buffer when a line was cut


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path_factory.mktemp("uploads"), workers=2)
    portal.start()
    yield portal
    portal.end()


_versions = (f"1.{minor}.0" for minor in range(100))


def bundle_of(here: RunningPortal, *, size_bytes: int = BIG_BYTES) -> tuple[str, Path]:
    """A new release and its bundle."""
    version = next(_versions)
    here.vendor.release(version, files={"lib/big.bin": os.urandom(size_bytes)})
    return version, here.vendor.bundle(version)


def port_of(here: RunningPortal) -> int:
    port = urlsplit(here.address).port
    assert port is not None
    return port


def begin(
    here: RunningPortal, bundle: Path, *options: str, to: str, command: str = "packages"
) -> subprocess.Popen[str]:
    words = {
        "packages": ["-m", "engineshed_packages.cli", "publish"],
        "server": ["-m", "engineshed_server.cli", "upload"],
    }[command]
    environment = {
        **os.environ,
        "ENGINESHED_TOKEN": here.token,
        "XDG_STATE_HOME": str(here.folder / "state"),
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", *words, str(bundle), "--to", to, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(running: subprocess.Popen[str], patience_s: float = 90) -> tuple[int, str, str]:
    out, err = running.communicate(timeout=patience_s)
    return running.returncode, out, err


def published(here: RunningPortal) -> set[str]:
    status, body = here.get("/api/v1/releases", Authorization=f"Bearer {here.token}")
    assert status == 200
    return {release["version"] for release in json.loads(body)["releases"]}


def incoming(here: RunningPortal) -> list[str]:
    return sorted(path.name for path in (here.settings.data_dir / "incoming").iterdir())


@pytest.mark.parametrize("command", ["packages", "server"])
def test_over_a_line_that_is_cut_again_and_again_nothing_is_sent_twice(
    here: RunningPortal, command: str
) -> None:
    version, bundle = bundle_of(here)
    cuts = (300_000, 1_500_000, 4_000_000, 7_000_000)
    with CuttingProxy(port_of(here), cut_at=cuts) as proxy:
        code, out, err = end(begin(here, bundle, to=proxy.address, command=command))
    assert (code, proxy.cuts) == (exits.DONE, len(cuts)), err
    assert f"published: sample-engine {version} (any)" in out
    assert err.count("trying again") == len(cuts)
    assert version in published(here)
    # Every byte that arrived counts: sent again is what stood in a buffer when the line was cut.
    again_bytes = proxy.sent_bytes - bundle.stat().st_size
    assert again_bytes < len(cuts) * PIECE_BYTES + OVERHEAD_BYTES


def test_a_worker_killed_in_the_middle_costs_one_chunk_at_most(here: RunningPortal) -> None:
    version, bundle = bundle_of(here)
    killed: list[int] = []

    def kill_workers(sent_bytes: int) -> None:
        if sent_bytes > 4_000_000 and not killed:
            killed.extend(here.workers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with CuttingProxy(port_of(here)) as proxy:
        proxy.on_bytes = kill_workers
        code, _, err = end(begin(here, bundle, to=proxy.address))
    assert code == exits.DONE, err
    assert len(killed) == 2
    assert version in published(here)
    chunk_bytes = 4 * 1024 * 1024  # the third: 1 and 2 MiB were over by then
    assert proxy.sent_bytes < bundle.stat().st_size + chunk_bytes + OVERHEAD_BYTES


def test_stopped_and_started_again_it_goes_on_where_it_was(here: RunningPortal) -> None:
    version, bundle = bundle_of(here)
    with CuttingProxy(port_of(here)) as proxy:
        running = begin(here, bundle, to=proxy.address)

        def stop(sent_bytes: int) -> None:
            if 5_000_000 < sent_bytes < 6_000_000:
                running.send_signal(signal.SIGINT)
                time.sleep(0.2)

        proxy.on_bytes = stop
        code, _, err = end(running)
        assert code != exits.DONE
        assert "the same command goes on" in err
        first_bytes, proxy.sent_bytes = proxy.sent_bytes, 0
        proxy.on_bytes = lambda sent_bytes: None
        code, _, err = end(begin(here, bundle, to=proxy.address))
    assert code == exits.DONE, err
    assert version in published(here)
    assert first_bytes > 5_000_000
    assert proxy.sent_bytes < bundle.stat().st_size - 2_000_000  # chunks of 1 and 2 MiB were over by then


def test_a_portal_that_is_restarted_meanwhile_is_waited_for(tmp_path: Path) -> None:
    here = RunningPortal(tmp_path, workers=2)
    try:
        here.start()
        version, bundle = bundle_of(here)
        restarted = threading.Event()

        def restart(sent_bytes: int) -> None:
            if sent_bytes > 5_000_000 and not restarted.is_set():
                restarted.set()
                here.kill()
                here.start()

        with CuttingProxy(port_of(here)) as proxy:
            proxy.on_bytes = restart
            code, _, err = end(begin(here, bundle, to=proxy.address))
        assert (code, restarted.is_set()) == (exits.DONE, True), err
        assert published(here) == {version}
        assert incoming(here) == []
    finally:
        here.end()
