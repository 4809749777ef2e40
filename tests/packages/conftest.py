"""A release manager's working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_packages.builder import sample_sources
from tests.packages.shell import Shell
from tests.vendor import PASSPHRASE, PRODUCT


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """An empty folder as working directory, and a file with a passphrase."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENGINESHED_KEY_PASSPHRASE_FILE", raising=False)
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    (tmp_path / "passphrase").chmod(0o600)
    return Shell(tmp_path, capsys)


@pytest.fixture
def ready(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Keys and repository are there, and 1.0.0 of the sample engine is built."""
    monkeypatch.setenv("ENGINESHED_KEY_PASSPHRASE_FILE", "passphrase")
    assert shell.run("keys", "init", "--product", PRODUCT, "--root-keys", "1", "--threshold", "1") == 0
    assert shell.run("build", *sample_sources("1.0.0"), "--version", "1.0.0", "--output", "packages") == 0
    return shell
