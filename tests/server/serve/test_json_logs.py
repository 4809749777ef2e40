"""`log.format = json` in all processes of a portal, from the first line to the last."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engineshed_packages import exits
from engineshed_server.serve.logs import FRAME
from tests.server.running import RunningPortal


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path, settings={"log.format": "json"})
    yield portal
    portal.end()


def lines_of(text: str) -> list[dict[str, Any]]:  # any JSON, compared with literals
    return [json.loads(line) for line in text.splitlines()]


def test_every_process_writes_nothing_but_json(portal: RunningPortal) -> None:
    process = portal.start()
    assert portal.get("/nothing-here", **{"X-Request-ID": "test-12345678"})[0] == 404
    process.terminate()
    assert process.wait(40) == 0
    lines = lines_of(portal.log.read_text("utf-8"))
    assert all(set(FRAME[:5]) <= set(line) for line in lines)
    by_event = {line["event"]: line for line in lines}
    assert by_event["request"]["request"] == "test-12345678"
    assert by_event["portal listens"]["address"] == portal.address
    assert by_event["child started"]["pid"] == process.pid
    assert by_event["draining"]["pid"] == process.pid
    assert "gunicorn.error" in {line["logger"] for line in lines}
    assert len({line["pid"] for line in lines}) >= 3  # the parent, gunicorn's master, a worker


@pytest.mark.parametrize("command", ["run", "web"])
def test_that_a_portal_did_not_start_is_a_line_too(portal: RunningPortal, command: str) -> None:
    (portal.folder / "data" / "trusted_root.json").unlink()
    words = [sys.executable, "-P", "-m", "engineshed_server.cli", command, "--config", str(portal.config)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == exits.CONFIGURATION
    (line,) = lines_of(done.stderr)
    assert (line["event"], line["level"], line["code"]) == ("not started", "error", "setup-missing")
