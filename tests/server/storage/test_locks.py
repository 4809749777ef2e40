from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engineshed_server.errors import TryLater
from engineshed_server.storage.locks import locked

HOLDER = """
import sys, time
from pathlib import Path
from engineshed_server.storage.locks import locked
with locked(Path(sys.argv[1]), wait_s=0):
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_waits_too_long_is_told_to_come_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, wait_s=0), pytest.raises(TryLater) as caught, locked(path, wait_s=0):
        pass
    assert caught.value.code == "ingest-busy"


def test_after_the_block_the_lock_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with locked(path, wait_s=0):
            pass


def test_the_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(TryLater), locked(path, wait_s=0):
            pass
        holder.kill()
    with locked(path, wait_s=0):
        pass
