"""The updater is killed before every single effect of an attempt, recovers, and every invariant holds.

Each scenario is a real run of the machine on a real tree. A dry run lists its effects; then, for each of
them, a fresh copy of the host is taken, the updater killed there (a write half done), and a fresh updater
recovers; once more it is killed inside its recovery first. The exhaustive proof on system calls and with
power cuts is made elsewhere; this one is fast and runs always.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engineshed_client import machine
from engineshed_client.fsops import FsOps
from engineshed_client.install.trees import list_previous
from engineshed_client.steps.beginning import begin_rollback
from engineshed_packages.protocol import Outcome
from tests.client.host import Host, Killed, KillingFs, KillingNoExchangeFs, Warehouse, memory_folder, stock
from tests.client.invariants import check_customer, check_instant, check_settled


@dataclass(frozen=True)
class Scenario:
    """An attempt: how the host is prepared, what is done, from which version to which.

    Attributes:
        since: the effect from which on this attempt differs from another scenario; kills begin there.
    """

    name: str
    begun: str | None
    wanted: str
    prepare: Callable[[Host], None]
    act: Callable[[Host, FsOps], object]
    outcome: Outcome
    customised: bool = True
    since: str | None = None


def _update(host: Host, fs: FsOps) -> object:
    return host.install("1.1.0", fs)


def _roll_back(host: Host, fs: FsOps) -> object:
    context = host.context(fs)
    return machine.run(context, begin_rollback(context))


def _run_old(host: Host) -> None:
    host.install("1.0.0")
    host.customise()


def _stop_old(host: Host) -> None:
    _run_old(host)
    host.processes.running = None


def _sick_new(host: Host) -> None:
    _run_old(host)
    host.processes.behaviour = {"1.1.0": "sick"}


def _exiting_new(host: Host) -> None:
    _run_old(host)
    host.processes.behaviour = {"1.1.0": "exits"}


def _sick_first(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}


def _updated(host: Host) -> None:
    _run_old(host)
    host.install("1.1.0")


SWAPPED, STARTED = "exchange staged", "start engine engine"

SCENARIOS = [
    Scenario("update", "1.0.0", "1.1.0", _run_old, _update, Outcome.OK),
    Scenario("update of a stopped engine", "1.0.0", "1.1.0", _stop_old, _update, Outcome.OK, since=SWAPPED),
    Scenario("update that is sick", "1.0.0", "1.1.0", _sick_new, _update, Outcome.ROLLED_BACK, since=STARTED),
    Scenario(
        "update that exits", "1.0.0", "1.1.0", _exiting_new, _update, Outcome.ROLLED_BACK, since=STARTED
    ),
    Scenario("first installation", None, "1.1.0", lambda host: None, _update, Outcome.OK, customised=False),
    Scenario(
        "first installation that is sick",
        None,
        "1.1.0",
        _sick_first,
        _update,
        Outcome.ROLLED_BACK,
        customised=False,
        since=STARTED,
    ),
    Scenario("rollback", "1.1.0", "1.0.0", _updated, _roll_back, Outcome.OK),
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=memory_folder()))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def warehouse(folder: Path) -> Warehouse:
    return stock(folder / "warehouse")


# Only these exchange folders; all others are the same on either kind of file system.
SWAPPING = ("update", "update that is sick", "rollback")
CASES = [
    *((scenario, KillingFs) for scenario in SCENARIOS),
    *((scenario, KillingNoExchangeFs) for scenario in SCENARIOS if scenario.name in SWAPPING),
]


@pytest.mark.parametrize(
    ("scenario", "kind"), CASES, ids=[f"{one.name}-{kind.__name__}".replace(" ", "-") for one, kind in CASES]
)
def test_killed_before_any_effect_the_updater_recovers(
    scenario: Scenario, kind: type[KillingFs], folder: Path, warehouse: Warehouse
) -> None:
    origin = Host(Path(tempfile.mkdtemp(dir=folder)), warehouse)
    scenario.prepare(origin)
    dry = kind()
    assert scenario.act(origin.copy(folder / "dry"), dry) is scenario.outcome
    shutil.rmtree(folder / "dry")
    first = 0 if scenario.since is None else dry.effects.index(scenario.since)
    assert len(dry.effects) - first > 20
    for at, effect in list(enumerate(dry.effects))[first:]:
        host = origin.copy(folder / "killed")
        try:
            _kill_and_recover(scenario, host, kind=kind, at=at)
        except BaseException as err:
            err.add_note(f"killed before effect {at}: {effect}\n{host.log_text()}")
            raise
        shutil.rmtree(host.base)


def _kill_and_recover(scenario: Scenario, host: Host, *, kind: type[KillingFs], at: int) -> None:
    before, kept = host.engine(), list_previous(host.paths)
    reports, was_running = len(host.reports()), scenario.begun is None or host.processes.is_running()
    with pytest.raises(Killed):
        scenario.act(host, kind(at))
    check_instant(host, scenario.begun, exchange=kind is KillingFs)
    try:
        # Somewhere inside its recovery, a different place each time.
        host.recover(kind(at % 37))
    except Killed:
        check_instant(host, scenario.begun, exchange=kind is KillingFs)
    host.recover(kind())
    check_settled(
        host, begun=scenario.begun, wanted=scenario.wanted, was_running=was_running, reports=reports
    )
    if scenario.customised:
        check_customer(host)
        places = (host.paths.engine, *list_previous(host.paths))
        assert before in [host.engine(place) for place in places]
    if host.version == scenario.begun:
        assert list_previous(host.paths) == kept
    after = host.listing()
    assert host.recover(kind()) is None
    assert host.listing() == after
