"""The parent as a process of its own: restarts, drains, and leaves nothing behind however it dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages import exits
from tests.server.serve.processes import end_all, processes_of, wait_until

PARENT = """
import sys
from pathlib import Path
from engineshed_server.serve import parent
from engineshed_server.serve.children import ChildPlan

code, folder, drain_s = sys.argv[1:]
plan = ChildPlan(name="test", command=(sys.executable, "-c", code, folder))
raise SystemExit(parent.run([plan], drain_s=float(drain_s)))
"""

# Each start leaves a file named by the process id; SIGTERM ends the child unless it says otherwise.
SLEEPER = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1], f"started-{os.getpid()}").touch()
time.sleep(600)
"""
WITH_CHILDREN = """
import os, sys, time
from pathlib import Path
if os.fork():
    Path(sys.argv[1], f"started-{os.getpid()}").touch()
time.sleep(600)
"""
DEAF = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path(sys.argv[1], f"started-{os.getpid()}").touch()
time.sleep(600)
"""
POLITE = """
import os, signal, sys, time
from pathlib import Path
def finish(*_):
    time.sleep(0.5)
    Path(sys.argv[1], "finished").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
Path(sys.argv[1], f"started-{os.getpid()}").touch()
while True:
    time.sleep(1)
"""


class Family:
    """A parent and its child, seen from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, code: str, drain_s: float = 20.0) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", PARENT, code, str(self.folder), str(drain_s)]
        self.process = subprocess.Popen(words)
        return self.process

    def started(self) -> list[int]:
        return sorted(int(path.name.partition("-")[2]) for path in self.folder.glob("started-*"))

    def wait_for_start(self, count: int = 1) -> int:
        wait_until(lambda: len(self.started()) >= count, f"{count} starts of the child")
        return max(self.started(), key=lambda pid: (self.folder / f"started-{pid}").stat().st_mtime_ns)


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path)
    yield made
    end_all(tmp_path)
    if made.process is not None:
        made.process.wait()


def test_a_dead_child_is_started_again(family: Family) -> None:
    family.start(SLEEPER)
    os.kill(family.wait_for_start(), signal.SIGKILL)
    family.wait_for_start(2)


def test_sigterm_lets_the_child_finish_and_ends_with_zero(family: Family) -> None:
    parent = family.start(POLITE)
    family.wait_for_start()
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(30) == exits.DONE
    assert (family.folder / "finished").exists()


def test_a_child_that_does_not_finish_is_killed_at_the_deadline(family: Family) -> None:
    parent = family.start(DEAF, drain_s=0.3)
    family.wait_for_start()
    parent.send_signal(signal.SIGTERM)
    parent.wait(30)
    assert processes_of(family.folder) == []


def test_a_second_signal_ends_the_patience(family: Family) -> None:
    parent = family.start(DEAF, drain_s=600.0)
    family.wait_for_start()
    parent.send_signal(signal.SIGTERM)
    # The same signal twice at once counts as one; another one counts by itself.
    parent.send_signal(signal.SIGINT)
    parent.wait(30)
    assert processes_of(family.folder) == []


def test_a_parent_killed_with_sigkill_leaves_no_process(family: Family) -> None:
    parent = family.start(SLEEPER)
    family.wait_for_start()
    parent.kill()
    parent.wait()
    wait_until(lambda: not processes_of(family.folder), "no process is left")


def test_children_of_a_child_end_with_the_drain(family: Family) -> None:
    parent = family.start(WITH_CHILDREN)
    family.wait_for_start()
    parent.send_signal(signal.SIGTERM)
    parent.wait(30)
    wait_until(lambda: not processes_of(family.folder), "no process is left")


def test_a_child_that_calls_its_configuration_wrong_is_not_restarted(family: Family) -> None:
    parent = family.start("raise SystemExit(78)")
    assert parent.wait(30) == exits.CONFIGURATION


def test_a_hangup_is_passed_on(family: Family) -> None:
    code = SLEEPER.replace(
        "time.sleep(600)",
        "import signal\nsignal.signal(signal.SIGHUP, lambda *_: Path(sys.argv[1], 'hung-up').touch())\n"
        "Path(sys.argv[1], 'listening').touch()\nwhile True: time.sleep(1)",
    )
    parent = family.start(code)
    wait_until((family.folder / "listening").exists, "the child listens")
    parent.send_signal(signal.SIGHUP)
    wait_until((family.folder / "hung-up").exists, "the child got SIGHUP")
