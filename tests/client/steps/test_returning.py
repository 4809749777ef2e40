from __future__ import annotations

from pathlib import Path

from engineshed_client import machine
from engineshed_client.errors import StopFailed
from engineshed_client.steps.returning import MAX_RETURNS
from engineshed_packages.protocol import Outcome
from tests.client.host import Host
from tests.client.invariants import check_settled


def _sick_new(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}


def test_the_old_engine_comes_back_exactly_as_it_was(host: Host) -> None:
    before = host.engine()
    _sick_new(host)
    assert host.install("1.1.0") is Outcome.ROLLED_BACK
    assert host.engine() == before
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_the_failed_engine_is_kept_and_replaced_by_the_next(host: Host) -> None:
    _sick_new(host)
    host.install("1.1.0")
    (host.paths.failed / "marker").touch()
    host.install("1.1.0")
    assert (host.paths.failed / "VERSION").read_text() == "1.1.0"
    assert not (host.paths.failed / "marker").exists()


def test_an_engine_that_will_not_stop_is_tried_again_and_then_broken(host: Host) -> None:
    _sick_new(host)
    stops: list[str] = []
    stop = host.processes.stop

    def cling(timeout_s: float) -> None:
        if host.processes.running == "1.1.0":
            stops.append("asked")
            raise StopFailed("engine-left", "process 4711 clings")
        stop(timeout_s)

    host.processes.stop = cling  # type: ignore[method-assign]  # the fake of this test's process
    assert host.install("1.1.0") is Outcome.BROKEN
    assert len(stops) == MAX_RETURNS
    assert host.processes.running == "1.1.0"


def test_an_old_engine_that_is_slow_to_be_well_is_given_more_than_one_try(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick", "1.0.0": "sick"}
    sleep_calls: list[float] = []

    def sleep(seconds: float) -> None:
        sleep_calls.append(seconds)
        if host.processes.running == "1.0.0" and len(sleep_calls) > 10:
            host.processes.behaviour = {"1.1.0": "sick"}

    context = host.context(sleep=sleep)
    assert machine.run(context, host.begin("1.1.0", context)) is Outcome.ROLLED_BACK
    assert " UNWELL " in host.log_text()


def test_an_engine_that_is_nowhere_as_it_was_is_not_searched_for_again(host: Host) -> None:
    _sick_new(host)
    probe = host.processes.probe

    def destroy(*args: object, **values: object) -> object:
        for path in Path(host.base / "engine_20261122").rglob("engine.py"):
            path.unlink()
        return probe(*args, **values)  # type: ignore[arg-type]  # passed on as they come

    context = host.context(probe=destroy)
    assert machine.run(context, host.begin("1.1.0", context)) is Outcome.BROKEN
    assert host.log_text().count("old-engine-missing") == 1
    assert host.version == "1.1.0"
