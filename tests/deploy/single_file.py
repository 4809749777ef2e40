"""The updater as one file, built as `make client` does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "deploy" / "build_client.py"
NAME = "engineshed-client.pyz"
BUILD_S = 120


def build(output: Path, *words: str | Path, cwd: Path | None = None, **environment: str) -> Path:
    """Run `deploy/build_client.py`; the file it wrote."""
    command = [sys.executable, str(BUILD), "--output", str(output), *map(str, words)]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=BUILD_S, cwd=cwd, env={**os.environ, **environment}
    )
    assert run.returncode == 0, run.stderr
    return output / NAME


def run_words(file: Path, python: str = sys.executable) -> list[str]:
    """The words that run *file* with nothing but Python's own library, whatever is installed around it."""
    return [python, "-I", "-S", str(file)]
