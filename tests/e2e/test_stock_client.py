"""The tus client that browsers use, as npm has it, uploads to a portal that runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import require
from tests.e2e.cutting_proxy import CuttingProxy
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until

SOURCE = Path(__file__).parent / "tus_js_client"
NPM_S = 120
UPLOAD_S = 60

Uploading = Callable[..., dict[str, Any]]  # what the script printed, to be compared with literals


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path_factory.mktemp("stock"), workers=2)
    portal.start()
    yield portal
    portal.end()


@pytest.fixture(scope="module")
def upload(here: RunningPortal, tmp_path_factory: pytest.TempPathFactory) -> Uploading:
    """Runs the client; its versions and digests are those of the lock beside the script."""
    require(shutil.which("npm") is not None and shutil.which("node") is not None, "npm and node")
    folder = tmp_path_factory.mktemp("tus-js-client")
    for name in ("package.json", "package-lock.json", "upload.js"):
        shutil.copy(SOURCE / name, folder)
    command = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, timeout=NPM_S)

    def run(file: Path, *, to: str = here.address, fails: bool = False, **options: object) -> dict[str, Any]:
        wanted = {
            "endpoint": f"{to}/api/v1/uploads",
            "file": str(file),
            "headers": {"Authorization": f"Bearer {here.token}"},
            **options,
        }
        words = ["node", "upload.js", json.dumps(wanted)]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=UPLOAD_S)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    return run


_versions = (f"1.{minor}.0" for minor in range(100))


def bundle_of(here: RunningPortal) -> tuple[str, Path]:
    version = next(_versions)
    here.vendor.release(version, files={"lib/big.bin": os.urandom(6_000_000)})
    return version, here.vendor.bundle(version)


def shown(here: RunningPortal, url: str) -> dict[str, Any]:
    _, body = here.get(urlsplit(url).path, Authorization=f"Bearer {here.token}")
    told: dict[str, Any] = json.loads(body)
    return told


def outcome(here: RunningPortal, url: str) -> dict[str, Any]:
    """What became of the upload, which nobody had to ask for."""
    wait_until(lambda: shown(here, url)["state"] in ("done", "failed"), "the bundle is taken in")
    return shown(here, url)


@pytest.mark.parametrize("chunk", [None, 1_000_000])
def test_what_a_browser_uploads_is_published(
    here: RunningPortal, upload: Uploading, chunk: int | None
) -> None:
    version, bundle = bundle_of(here)
    told = upload(bundle, **({} if chunk is None else {"chunkSize": chunk}))
    found = outcome(here, told["url"])
    assert (found["state"], found["name"]) == ("done", "from-a-browser.zip")
    assert [release["version"] for release in found["result"]["releases"]] == [version]


def test_over_a_line_that_is_cut_it_goes_on_with_what_the_portal_has(
    here: RunningPortal, upload: Uploading
) -> None:
    _, bundle = bundle_of(here)
    port = urlsplit(here.address).port
    assert port is not None
    with CuttingProxy(port, cut_at=(1_500_000, 3_500_000)) as proxy:
        told = upload(bundle, to=proxy.address)
        assert (proxy.cuts, told["retries"] >= 2) == (2, True)
        # Without checksums every byte that came counts: only what stood in buffers is sent again.
        assert proxy.sent_bytes < bundle.stat().st_size + 1_000_000
    assert outcome(here, told["url"])["result"]["code"] == "published"


def test_stopped_and_resumed_by_its_address(here: RunningPortal, upload: Uploading) -> None:
    _, bundle = bundle_of(here)
    first = upload(bundle, chunkSize=1_000_000, abortAt=3_000_000)
    assert first["aborted"]
    assert shown(here, first["url"])["offset"] >= 3_000_000
    again = upload(bundle, uploadUrl=here.address + urlsplit(first["url"]).path)
    assert outcome(here, again["url"])["state"] == "done"


def test_ended_by_the_browser_it_is_gone(here: RunningPortal, upload: Uploading) -> None:
    _, bundle = bundle_of(here)
    told = upload(bundle, chunkSize=1_000_000, abortAt=2_000_000, terminate=True)
    assert here.get(urlsplit(told["url"]).path, Authorization=f"Bearer {here.token}")[0] == 404


def test_a_wrong_token_is_told(here: RunningPortal, upload: Uploading) -> None:
    _, bundle = bundle_of(here)
    told = upload(bundle, headers={"Authorization": "Bearer wrong"}, fails=True)
    assert "401" in told["error"]
