"""The examples of docs/api.md, run as they stand there, against a running portal."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages.jsontext import Json
from tests.conftest import require
from tests.server.running import RunningPortal

PAGE = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path)
    portal.publish("1.0.0")
    portal.start()
    portal.enrol()
    portal.enrol()
    yield portal
    portal.end()


def documents(text: str) -> list[dict[str, Json]]:
    """The JSON objects that stand one after another in *text*."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        found.append(value)
        position += len(text[position:]) - len(text[position:].lstrip())
    return found


def test_the_examples_of_the_api_work_as_written(here: RunningPortal, tmp_path: Path) -> None:
    require(shutil.which("curl") is not None, "curl")
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PORTAL": here.address,
        "ENGINESHED_CONFIG": str(here.config),
    }
    script = "set -eu -o pipefail\n" + "\n".join(blocks("sh"))
    run = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    release, edited, problem = documents(run.stdout)
    assert (release["version"], edited["group"], problem["status"]) == ("1.0.0", "north", 404)
    assert len(documents((folder / "engines.json").read_text())) == 2


def test_the_problem_that_is_shown_is_the_one_that_comes(here: RunningPortal) -> None:
    (shown,) = (json.loads(block) for block in blocks("json"))
    got = json.loads(here.get("/api/v1/engines/eng_nobody", Authorization=f"Bearer {here.token}")[1])
    assert {**got, "instance": shown["instance"]} == shown
