"""Uploads against a portal that runs with two processes: cut lines, killed workers, restarts, full disks.

Both commands send the same way; each is used by some of the tests.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engineshed_packages import exits
from engineshed_packages.locks import exclusive
from engineshed_packages.progress import no_progress
from engineshed_packages.transport import HttpClient
from engineshed_packages.uploads.memory import Memory
from engineshed_packages.uploads.patience import Patience
from engineshed_packages.uploads.portal import UploadPortal
from engineshed_packages.uploads.sending import send_file
from engineshed_server.services import releases
from engineshed_server.settings import Settings
from engineshed_server.wiring import open_portal
from tests.conftest import require
from tests.e2e.cutting_proxy import PIECE_BYTES, CuttingProxy
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until
from tests.small_disk import small_disk

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


def published_by(settings: Settings) -> set[str]:
    """The same, while no portal runs."""
    with closing(open_portal(settings)) as portal:
        return {release.version for release in releases.list_releases(portal)}


def state_of(here: RunningPortal, upload_id: str) -> str:
    status, body = here.get(f"/api/v1/uploads/{upload_id}", Authorization=f"Bearer {here.token}")
    assert status == 200
    return str(json.loads(body)["state"])


def incoming(here: RunningPortal) -> list[str]:
    return sorted(path.name for path in (here.settings.data_dir / "incoming").iterdir())


@pytest.mark.parametrize(
    ("command", "cuts"), [("packages", (300_000, 1_500_000, 4_000_000, 7_000_000)), ("server", (2_000_000,))]
)
def test_over_a_line_that_is_cut_again_and_again_nothing_is_sent_twice(
    here: RunningPortal, command: str, cuts: tuple[int, ...]
) -> None:
    version, bundle = bundle_of(here)
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
                wait_until(lambda: running.poll() is not None, "the command has ended")

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


def test_a_portal_that_is_killed_and_started_again_meanwhile_is_waited_for(here: RunningPortal) -> None:
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
    assert version in published(here)
    assert incoming(here) == []


def test_a_portal_killed_while_it_takes_a_bundle_in_does_so_at_its_next_start(here: RunningPortal) -> None:
    version, bundle = bundle_of(here, size_bytes=100_000)
    with exclusive(here.settings.data_dir / "ingest.lock", wait_s=10), HttpClient() as client:
        portal = UploadPortal(client, here.address, here.token)
        size_bytes = bundle.stat().st_size
        upload_id = portal.begin("x.zip", length_bytes=size_bytes)
        portal.send(upload_id, bundle, offset_bytes=0, length_bytes=size_bytes, progress=lambda sent: None)
        wait_until(lambda: state_of(here, upload_id) == "ingesting", "it waits for the lock")
        here.kill()
    assert version not in published_by(here.settings)
    here.start()
    wait_until(lambda: state_of(here, upload_id) == "done", "nobody had to ask for it")
    assert version in published(here)
    assert incoming(here) == []


def test_an_upload_over_the_limit_is_refused_and_not_sent(here: RunningPortal, tmp_path: Path) -> None:
    huge = tmp_path / "huge.zip"
    with huge.open("wb") as file:
        file.truncate(here.settings.upload_bytes + 1)
    with CuttingProxy(port_of(here)) as proxy:
        code, _, err = end(begin(here, huge, to=proxy.address))
    assert (code, "[upload-too-large]" in err) == (exits.FAILED, True)
    assert proxy.sent_bytes < OVERHEAD_BYTES


def test_on_a_full_disk_the_command_ends_with_75_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 160_000_000) as disk:
        here = RunningPortal(tmp_path, workers=2, settings={"limits.free_bytes": 1_000_000})
        try:
            here.start()
            version, bundle = bundle_of(here)

            def fill(sent_bytes: int) -> None:
                if sent_bytes > 2_000_000 and not (disk.folder / "filler").exists():
                    disk.fill(leaving_bytes=4_000_000)

            with CuttingProxy(port_of(here)) as proxy:
                proxy.on_bytes = fill
                code, out, err = end(begin(here, bundle, "--retry-for", "5", to=proxy.address))
                assert (code, out) == (exits.TRY_LATER, ""), err
                assert err.rstrip().endswith("[disk-full]")
                assert published(here) == set()
                disk.make_room()
                first_bytes, proxy.sent_bytes = proxy.sent_bytes, 0
                proxy.on_bytes = lambda sent_bytes: None
                code, _, err = end(begin(here, bundle, to=proxy.address))
            assert code == exits.DONE, err
            assert (published(here), incoming(here)) == ({version}, [])
            assert first_bytes > 2_000_000
            assert proxy.sent_bytes < bundle.stat().st_size - 2_000_000
        finally:
            here.end()


@dataclass
class Threads:
    """Uploads by the same client in this process, at once."""

    here: RunningPortal
    results: list[str] = field(default_factory=list)

    def send(self, bundle: Path) -> None:
        def tell(text: str) -> None:
            self.results.append(f"told: {text}")

        with HttpClient() as client:
            done = send_file(
                UploadPortal(client, self.here.address, self.here.token),
                bundle,
                memory=Memory(self.here.folder / "memory"),
                patience=Patience(60, tell=tell),
                tell=tell,
                show=no_progress,
            )
        self.results.append(done.code)

    def send_all(self, bundles: Sequence[Path]) -> list[str]:
        threads = [threading.Thread(target=self.send, args=(bundle,)) for bundle in bundles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.results


def test_many_uploads_at_once_are_each_published_once(here: RunningPortal) -> None:
    made = [bundle_of(here, size_bytes=1_500_000) for _ in range(10)]
    results = Threads(here).send_all([bundle for _, bundle in made])
    assert sorted(results) == ["published"] * 10
    assert {version for version, _ in made} <= published(here)
    assert incoming(here) == []


def test_two_starts_of_one_command_finish_one_upload_together(here: RunningPortal) -> None:
    version, bundle = bundle_of(here)
    first = threading.Event()

    def second_start(sent_bytes: int) -> None:
        if sent_bytes > 500_000:
            first.set()

    with CuttingProxy(port_of(here)) as proxy:
        proxy.on_bytes = second_start
        running = begin(here, bundle, to=proxy.address)
        assert first.wait(30)
        other = begin(here, bundle, to=proxy.address)
        codes = (end(running)[0], end(other)[0])
    assert codes == (exits.DONE, exits.DONE)
    assert version in published(here)
    assert incoming(here) == []


def test_of_many_requests_for_one_offset_in_both_processes_one_wins(here: RunningPortal) -> None:
    data = [bytes([65 + number]) * 300_000 for number in range(10)]
    with HttpClient() as client:
        upload_id = UploadPortal(client, here.address, here.token).begin("x.zip", length_bytes=600_000)
    path, statuses = f"/api/v1/uploads/{upload_id}", []
    headers = {
        "Authorization": f"Bearer {here.token}",
        "Tus-Resumable": "1.0.0",
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": "0",
    }

    def patch(body: bytes) -> None:
        with closing(here.connect()) as connection:
            connection.request("PATCH", path, body, headers)
            statuses.append(connection.getresponse().status)

    threads = [threading.Thread(target=patch, args=(body,)) for body in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(statuses)) in ([204, 409], [204, 409, 423])
    assert statuses.count(204) == 1
    assert (here.settings.data_dir / "incoming" / f"{upload_id}.part").read_bytes() in data


def test_on_a_terminal_there_is_a_bar_with_rate_and_time_left(here: RunningPortal) -> None:
    require(sys.platform == "linux", "a terminal to write to")
    _, bundle = bundle_of(here)
    near, far = os.openpty()
    words = [
        sys.executable,
        "-P",
        "-m",
        "engineshed_packages.cli",
        "publish",
        str(bundle),
        "--to",
        here.address,
    ]
    environment = {**os.environ, "ENGINESHED_TOKEN": here.token, "XDG_STATE_HOME": str(here.folder / "state")}
    words += ["--to", here.address]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=far, text=True, check=True)
    os.close(far)
    with closing(os.fdopen(near, "rb", buffering=0)) as terminal:
        shown = terminal.read(65536).decode()
    assert "\r[" in shown
    assert re.search(r"100 % of 11\.\d MiB +\d+\.\d MiB/s", shown), shown
    assert "published" in done.stdout
