"""Skips under REQUIRE_ALL: pytest is run on small files beside the real conftest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

REQUIRES_A_MISSING_THING = """
from conftest import require

def test_it() -> None:
    require(False, "no moon tonight")
"""
REQUIRES_WHAT_IS_THERE = """
from conftest import require

def test_it() -> None:
    require(True, "no moon tonight")
"""
IS_MARKED_AS_SKIPPED = """
import pytest

@pytest.mark.skip(reason="no moon tonight")
def test_it() -> None: ...
"""
IS_SKIPPED_AS_A_MODULE = """
import pytest

pytest.skip("no moon tonight", allow_module_level=True)
"""
FAILS_AS_EXPECTED = """
import pytest

@pytest.mark.xfail(reason="no moon tonight")
def test_it() -> None:
    assert False
"""
SKIPPING = [REQUIRES_A_MISSING_THING, IS_MARKED_AS_SKIPPED, IS_SKIPPED_AS_A_MODULE]


def _run(folder: Path, text: str, require_all: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, folder)
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {**os.environ, "REQUIRE_ALL": require_all}
    return subprocess.run(
        [*command, "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("text", SKIPPING)
def test_a_skip_is_a_failure_that_says_why_where_everything_is_required(tmp_path: Path, text: str) -> None:
    run = _run(tmp_path, text, "1")
    assert run.returncode not in (0, 5)
    assert "no moon tonight" in run.stdout


@pytest.mark.parametrize("text", SKIPPING)
def test_a_skip_is_no_failure_on_a_machine_of_a_developer(tmp_path: Path, text: str) -> None:
    run = _run(tmp_path, text, "")
    assert "1 skipped" in run.stdout
    assert "failed" not in run.stdout


@pytest.mark.parametrize("text", [REQUIRES_WHAT_IS_THERE, FAILS_AS_EXPECTED])
def test_what_is_no_skip_stays_as_it_is(tmp_path: Path, text: str) -> None:
    assert _run(tmp_path, text, "1").returncode == 0
