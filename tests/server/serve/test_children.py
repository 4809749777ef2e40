"""The pause between two starts of a child, and what a child inherits."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engineshed_server.serve.children import Backoff, Child, ChildPlan, end_group, spawn
from tests.server.serve.processes import processes_of, wait_until


@pytest.mark.parametrize(
    ("failures", "pause_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (2000, 30.0)]
)
def test_the_pause_doubles_up_to_thirty_seconds(failures: int, pause_s: float) -> None:
    assert Backoff(failures).pause_s == pause_s


def test_a_child_that_lived_long_begins_with_the_shortest_pause_again() -> None:
    assert Backoff(7).after_life_of(60.0) == Backoff(1)


def test_a_child_that_died_young_waits_longer_each_time() -> None:
    assert Backoff(3).after_life_of(59.9) == Backoff(4)


def _python(code: str, *words: object) -> ChildPlan:
    return ChildPlan(name="test", command=(sys.executable, "-c", code, *map(str, words)))


def test_a_child_leads_a_group_of_its_own_and_has_no_signal_blocked() -> None:
    code = (
        "import os, signal\n"
        "blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        "raise SystemExit(len(blocked) + (os.getpgrp() != os.getpid()))"
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        assert spawn(_python(code)).wait() == 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_start_that_fails_is_tried_again_after_a_pause() -> None:
    tried = []

    def no_memory(plan: ChildPlan) -> subprocess.Popen[bytes]:
        tried.append(plan.name)
        raise OSError(12, "Cannot allocate memory")

    child = Child(_python(""), no_memory)
    child.start_when_due(100.0)
    child.start_when_due(100.4)
    child.start_when_due(100.5)
    assert tried == ["test", "test"]


def test_what_a_dead_child_had_started_is_ended_with_it(tmp_path: Path) -> None:
    code = "import os, time\nif os.fork(): os._exit(7)\ntime.sleep(600)"
    child = Child(_python(code, tmp_path), spawn)
    child.start_when_due(0.0)
    wait_until(lambda: child.reap(1.0) == 7, "the child's death is noticed")
    wait_until(lambda: not processes_of(tmp_path), "what the child started is gone")


def test_ending_an_empty_group_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], process_group=0)
    process.wait()
    end_group(process.pid)
