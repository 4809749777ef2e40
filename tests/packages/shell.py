"""A release manager's shell: runs `engineshed-packages` in a folder and keeps what it said.

Used with the fixtures of `conftest.py`: ``shell`` is empty, ``ready`` has keys and a built package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from engineshed_packages.cli import main
from tests.vendor import PRODUCT

PACKAGE = Path("packages") / f"{PRODUCT}-1.0.0-any.zip"
BUNDLE = Path(f"{PRODUCT}-1.0.0-bundle.zip")


@dataclass
class Shell:
    """Runs commands in a folder and keeps what they said."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""

    def run(self, *arguments: str | Path) -> int:
        code = main([str(argument) for argument in arguments])
        self.out, self.err = self.capsys.readouterr()
        return code

    def data(self, *arguments: str | Path) -> dict[str, object]:
        assert self.run(*arguments, "--json") == 0, self.err
        values = json.loads(self.out)
        assert isinstance(values, dict)
        return values


def released(shell: Shell) -> Shell:
    assert shell.run("release", PACKAGE) == 0
    assert shell.run("bundle", PRODUCT, "1.0.0") == 0
    return shell
