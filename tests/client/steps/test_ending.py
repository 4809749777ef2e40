from __future__ import annotations

import os
from dataclasses import replace

import pytest

from engineshed_client import machine
from engineshed_client.errors import StartFailed
from engineshed_client.install.trees import list_previous
from engineshed_client.steps.beginning import begin_rollback
from engineshed_packages.protocol import MAX_REPORT_BYTES, Outcome
from tests.client.host import Host
from tests.client.invariants import check_settled


def _swing(host: Host, times: int) -> None:
    """Update and roll back *times* times, a day apart."""
    for number in range(times):
        host.now = host.now.replace(day=1 + number)
        context = host.context()
        journal = begin_rollback(context) if number % 2 else host.begin("1.1.0", context)
        assert machine.run(context, journal) is Outcome.OK


@pytest.mark.parametrize(("keep", "left"), [(0, 1), (1, 1), (2, 2), (5, 5)])
def test_as_many_previous_versions_stay_as_the_administrator_keeps(host: Host, keep: int, left: int) -> None:
    host.settings = replace(host.settings, keep_previous=keep)
    _swing(host, 6)
    found = sorted(name for name in os.listdir(host.base) if name.startswith("engine_"))
    assert len(found) == left
    assert found[-1] == "engine_20261106"


def test_the_engine_just_left_stays_although_the_clock_went_back(host: Host) -> None:
    host.settings = replace(host.settings, keep_previous=1)
    _swing(host, 2)
    host.now, left = host.now.replace(year=1970), host.version
    host.install("1.1.0" if left == "1.0.0" else "1.0.0")
    assert [(kept / "VERSION").read_text() for kept in list_previous(host.paths)] == [left]


def test_a_folder_without_a_manifest_is_somebody_elses(host: Host) -> None:
    for day in range(1, 6):
        (host.base / f"engine_2020010{day}").mkdir()
    host.install("1.1.0")
    assert len([name for name in os.listdir(host.base) if name.startswith("engine_2020")]) == 5


def test_two_updates_on_one_day_leave_two_names(host: Host) -> None:
    host.install("1.1.0")
    host.install("1.0.0")
    assert (host.base / "engine_20261122/VERSION").read_text() == "1.0.0"
    assert (host.base / "engine_20261122_2/VERSION").read_text() == "1.1.0"


def test_before_it_is_enrolled_a_host_writes_no_report(host: Host) -> None:
    context = host.context(engine_id=None)
    before = len(host.reports())
    assert machine.run(context, host.begin("1.1.0", context)) is Outcome.OK
    assert len(host.reports()) == before


def test_the_outcome_is_on_the_end_line(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}
    host.install("1.1.0")
    end = host.log_text().splitlines()[-1]
    assert "outcome=ROLLED_BACK code=unhealthy version=1.0.0" in end


def test_a_report_with_long_logs_fits(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}
    (host.paths.engine / "logs/huge.log").write_bytes(b"\xc3\xa9" * 500 + b"\n" * 3 + b"x" * 4000 * 1000)
    host.install("1.1.0")
    assert len(host.reports()[-1].to_bytes()) <= MAX_REPORT_BYTES


def test_an_aborted_attempt_starts_an_engine_that_ran(host: Host) -> None:
    start = host.processes.start

    def fail_once() -> None:
        host.processes.start = start  # type: ignore[method-assign]  # the fake of this test's process
        raise StartFailed("start-failed", "no room for a pid file")

    (host.paths.engine / "data/late").touch()
    stop = host.processes.stop

    def stop_and_break(timeout_s: float) -> None:
        stop(timeout_s)
        (host.paths.staged / "MANIFEST.json").unlink()  # CARRYING will fail
        host.processes.start = fail_once  # type: ignore[method-assign]  # as above

    host.processes.stop = stop_and_break  # type: ignore[method-assign]  # as above
    assert host.install("1.1.0") is Outcome.ABORTED
    assert host.processes.running == "1.0.0"
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_an_attempt_aborted_after_the_stop_reports_the_last_lines_of_the_old_engine(host: Host) -> None:
    (host.paths.engine / "logs/engine.log").write_text("cannot stop: three jobs run\n")
    host.processes.behaviour = {"1.0.0": "clings"}
    assert host.install("1.1.0") is Outcome.ABORTED
    assert "cannot stop: three jobs run" in host.reports()[-1].engine_log


def test_an_attempt_aborted_before_the_stop_reports_no_engine_lines(host: Host) -> None:
    (host.paths.engine / "logs/engine.log").write_text("all is well\n")
    host.settings = replace(host.settings, unlisted="refuse")
    assert host.install("1.1.0") is Outcome.ABORTED
    assert host.reports()[-1].engine_log == ()


def test_an_aborted_attempt_leaves_a_stopped_engine_stopped(host: Host) -> None:
    host.processes.running = None
    host.settings = replace(host.settings, unlisted="refuse")
    assert host.install("1.1.0") is Outcome.ABORTED
    assert (host.processes.running, host.processes.history) == (None, ["start 1.0.0"])
