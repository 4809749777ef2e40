"""The whole way with a real Java application: see `real_engine`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import require
from tests.e2e.real_engine import FACTS

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 300


def _java_version() -> int:
    """The major version of Java; 0 when there is none."""
    if shutil.which("java") is None:
        return 0
    run = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60)
    found = re.search(r'version "(\d+)', run.stderr)
    return 0 if found is None else int(found[1])


@pytest.mark.timeout(WITHIN_S + 30)
def test_a_real_java_engine_is_updated_while_it_serves_and_rolled_back(tmp_path: Path) -> None:
    require(_java_version() >= 17, "Java 17 or newer")
    require(shutil.which("npm") is not None, "npm")
    command = [sys.executable, "-m", "tests.e2e.real_engine", "--once"]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert tuple(re.findall(r"^ok  (.*)$", run.stdout, re.MULTILINE)) == FACTS
    assert list(tmp_path.iterdir()) == [], "the temporary folder is not empty afterwards"
