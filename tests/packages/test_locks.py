"""One writer at a time, over processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import engineshed_packages
from engineshed_packages.errors import Conflict
from engineshed_packages.locks import exclusive

_HOLD = """
import sys
from pathlib import Path
from engineshed_packages.locks import exclusive
with exclusive(Path(sys.argv[1]), wait_s=5):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_locked_out_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)],
        env={"PYTHONPATH": str(Path(engineshed_packages.__file__).parent.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(Conflict) as caught, exclusive(path, wait_s=0):
            pass
        holder.kill()
    assert caught.value.code == "locked"
    with exclusive(path, wait_s=5):
        assert path.exists()


def test_the_lock_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "lock", wait_s=0):
            pass
    assert (tmp_path / "lock").exists()
