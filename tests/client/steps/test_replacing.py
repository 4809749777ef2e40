from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engineshed_client.errors import StopFailed
from engineshed_client.install.trees import list_previous
from engineshed_packages.protocol import Outcome
from tests.client.host import FastFs, Host
from tests.client.invariants import check_customer, check_settled


def test_an_engine_that_will_not_stop_is_left_running_and_nothing_is_swapped(host: Host) -> None:
    def cling(timeout_s: float) -> None:
        raise StopFailed("engine-left", "process 4711 clings")

    host.processes.stop = cling  # type: ignore[method-assign]  # the fake of this test's process
    assert host.install("1.1.0") is Outcome.ABORTED
    assert host.reports()[-1].code == "engine-left"
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_the_engine_is_given_the_time_its_manifest_says(host: Host) -> None:
    given: list[float] = []
    stop = host.processes.stop

    def listen(timeout_s: float) -> None:
        given.append(timeout_s)
        stop(timeout_s)

    host.processes.stop = listen  # type: ignore[method-assign]  # the fake of this test's process
    host.install("1.1.0")
    assert given == [5]


class RefusingFs(FastFs):
    """One kind of effect on one name is always refused."""

    def __init__(self, effect: str, name: str, number: int, times: int = 10**6) -> None:
        self._refuse = (effect, name)
        self._number, self._times = number, times

    def announce(self, effect: str, path: Path) -> None:
        if (effect, path.name) == self._refuse and self._times > 0:
            self._times -= 1
            raise OSError(self._number, "refused", str(path))


@pytest.mark.parametrize(
    "refused",
    [
        ("exchange", "staged", errno.EACCES),
        ("exchange", "staged", errno.EIO),
        ("rename", "engine_20261122", errno.EIO),
        ("sync folder", "base", errno.EIO, 1),
    ],
)
def test_a_swap_that_fails_is_undone_and_is_not_held_against_the_release(
    host: Host, refused: tuple[str, str, int]
) -> None:
    before = host.engine()
    assert host.install("1.1.0", RefusingFs(*refused)) is Outcome.ABORTED
    assert (host.engine(), list_previous(host.paths)) == (before, ())
    assert host.context().seen.load().skipped == ()
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)
    check_customer(host)


def test_defaults_that_lie_beside_are_told_in_the_log(host: Host) -> None:
    host.install("1.1.0")
    assert "NEW-DEFAULT" in host.log_text()
    assert "path=conf/engine.toml.new" in host.log_text()
