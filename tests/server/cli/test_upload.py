"""`upload` against a portal that runs."""

import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages import exits
from tests.faulty_http import FaultyServer, answers
from tests.server.running import RunningPortal
from tests.vendor import Vendor


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path_factory.mktemp("upload"))
    portal.start()
    yield portal
    portal.end()


def _upload(
    here: RunningPortal, file: Path, *options: str, token: str | None = None, address: str | None = None
) -> subprocess.CompletedProcess[str]:
    program = os.path.join(sysconfig.get_path("scripts"), "engineshed-server")
    given = here.token if token is None else token
    environment = {**os.environ, "ENGINESHED_TOKEN": given, "XDG_STATE_HOME": str(here.folder / "state")}
    words = [program, "upload", str(file), "--to", address or here.address, *options]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def test_a_bundle_is_published_and_the_second_time_unchanged(here: RunningPortal) -> None:
    here.vendor.release("1.0.0")
    bundle = here.vendor.bundle("1.0.0")
    first, second = _upload(here, bundle), _upload(here, bundle)
    assert (first.returncode, first.stdout) == (exits.DONE, "published: sample-engine 1.0.0 (any)\n")
    assert (second.returncode, second.stdout) == (exits.DONE, "unchanged: nothing in it is new here\n")


def test_metadata_without_a_package_is_told_as_such(here: RunningPortal) -> None:
    here.vendor.refresh()
    done = _upload(here, here.vendor.metadata_bundle())
    assert done.stdout == "published: the vendor's newer metadata, no new package\n"


def test_how_far_it_is_goes_to_stderr(here: RunningPortal) -> None:
    here.vendor.release("1.1.0")
    bundle = here.vendor.bundle("1.1.0")
    assert "100 %" in _upload(here, bundle).stderr
    assert "%" not in _upload(here, bundle, "--no-progress").stderr
    assert _upload(here, bundle, "--quiet").stderr == ""


def test_a_strangers_bundle_is_65(here: RunningPortal, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    done = _upload(here, stranger.bundle("1.0.0"))
    assert (done.returncode, done.stdout) == (exits.BAD_CONTENT, "")
    assert "metadata-signature" in done.stderr


def test_a_refusal_is_told_once_with_the_code_of_the_portal(here: RunningPortal, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"<html>")
    (said,) = _upload(here, tmp_path / "x.zip", "--no-progress").stderr.splitlines()
    assert re.search(r"/uploads/upl_[a-z0-9]+: .*\[archive-not-zip\]$", said)
    assert (said.count("no zip archive"), "http-422" in said) == (1, False)


def test_a_portal_that_is_busy_is_75_with_its_code(here: RunningPortal, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"<html>")
    with FaultyServer() as server:
        body = b'{"code": "uploads-too-many", "detail": "16 uploads of this token are open"}'
        server.at("/api/v1/uploads", answers.json(body, 429))
        done = _upload(here, tmp_path / "x.zip", "--no-progress", address=server.url)
    assert (done.returncode, done.stderr.endswith("[uploads-too-many]\n")) == (exits.TRY_LATER, True)


def test_a_wrong_token_is_77(here: RunningPortal, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"x")
    assert _upload(here, tmp_path / "x.zip", token="wrong").returncode == exits.REFUSED


def test_a_portal_that_is_not_there_is_69(here: RunningPortal, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"x")
    done = _upload(here, tmp_path / "x.zip", address="http://127.0.0.1:1")
    assert done.returncode == exits.UNREACHABLE


def test_no_token_is_wrong_usage(here: RunningPortal, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"x")
    done = _upload(here, tmp_path / "x.zip", token="")
    assert done.returncode == exits.USAGE
    assert "--token-file" in done.stderr
