"""Windows services, by a manager that behaves as its documentation says and whose processes are real."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engineshed_client.errors import EngineTrouble, StartFailed, StopFailed
from engineshed_client.fsops import ExchangeUnsupported
from engineshed_client.health import Tick
from engineshed_client.paths import Paths
from engineshed_client.supervisor import WindowsSupervisor
from engineshed_client.supervisor.scm import (
    ALREADY_RUNNING,
    CANNOT_ACCEPT,
    DATABASE_LOCKED,
    DISABLED,
    DISABLED_SERVICE,
    MARKED_FOR_DELETE,
    NO_SUCH_SERVICE,
    NOT_ACTIVE,
    ScmError,
    ServiceState,
    ServiceStatus,
)
from engineshed_packages.manifest import ProbeSpec
from engineshed_packages.protocol import Outcome
from engineshed_packages.versions import Version
from tests.client.host import FastFs, Host, stock

NAME = "Cockpit"
AUTOMATIC = 2
PROCESS_ABORTED = 1067


@dataclass
class Manager:
    """One service, its process a real one that sleeps.

    Attributes:
        pending: how often it is looked at until a start or stop is over. locked: how often a start meets the
            locked database. fails: its process ends at its start, with this exit code. hangs: it does not
            stop when it is told to. restarts: recovery actions start it again when its process was killed.
    """

    pending: int = 2
    locked: int = 0
    fails: int | None = None
    hangs: bool = False
    restarts: bool = False
    kind: int = AUTOMATIC
    deleted: bool = False
    state: ServiceState = ServiceState.STOPPED
    exit_code: int = 0
    process: subprocess.Popen[bytes] | None = None
    left: int = 0
    told: list[str] = field(default_factory=list)

    def status(self, name: str) -> ServiceStatus:
        if name != NAME:
            raise ScmError(NO_SUCH_SERVICE, f"OpenServiceW of the service {name}")
        self._notice_end()
        seen = ServiceStatus(
            state=self.state,
            process=0 if self.process is None else self.process.pid,
            exit_code=self.exit_code,
        )
        self._go_on()
        return seen

    def start_type(self, name: str) -> int:
        return self.kind

    def start(self, name: str) -> None:
        self.told.append("start")
        if self.deleted:
            raise ScmError(MARKED_FOR_DELETE, "StartServiceW")
        if self.kind == DISABLED:
            raise ScmError(DISABLED_SERVICE, "StartServiceW")
        if self.state is not ServiceState.STOPPED:
            raise ScmError(ALREADY_RUNNING, "StartServiceW")
        if self.locked:
            self.locked -= 1
            raise ScmError(DATABASE_LOCKED, "StartServiceW")
        self._launch()

    def stop(self, name: str) -> None:
        self.told.append("stop")
        if self.state is ServiceState.STOPPED:
            raise ScmError(NOT_ACTIVE, "ControlService")
        if self.state in (ServiceState.START_PENDING, ServiceState.STOP_PENDING):
            raise ScmError(CANNOT_ACCEPT, "ControlService")
        self.state, self.left = ServiceState.STOP_PENDING, self.pending

    def _launch(self) -> None:
        self.process = subprocess.Popen(["sleep", "1000"])
        self.state, self.left, self.exit_code = ServiceState.START_PENDING, self.pending, 0

    def _notice_end(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            self.process = None
            self.state, self.exit_code = ServiceState.STOPPED, PROCESS_ABORTED
            if self.restarts:
                self.restarts = False
                self.hangs = False
                self._launch()

    def _go_on(self) -> None:
        self.left = max(0, self.left - 1)
        if self.left or not self.state.name.endswith("_PENDING"):
            return
        if self.state is ServiceState.START_PENDING and self.fails is None:
            self.state = ServiceState.RUNNING
        elif self.state is ServiceState.START_PENDING or not self.hangs:
            self.end()
            self.state, self.exit_code = ServiceState.STOPPED, self.fails or 0

    def end(self) -> None:
        """End its process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def manager() -> Iterator[Manager]:
    made = Manager()
    yield made
    made.end()


@pytest.fixture
def service(tmp_path: Path, manager: Manager) -> WindowsSupervisor:
    (tmp_path / "engine").mkdir()
    return WindowsSupervisor(Paths(tmp_path), NAME, manager, sleep=lambda seconds: None)


@pytest.fixture
def patient(tmp_path: Path, manager: Manager) -> WindowsSupervisor:
    """The same, really waiting: until a process that was killed is gone."""
    return WindowsSupervisor(Paths(tmp_path), NAME, manager)


def test_a_start_is_over_when_the_service_runs(service: WindowsSupervisor, manager: Manager) -> None:
    service.start()
    assert manager.state is ServiceState.RUNNING
    assert service.is_running()


def test_a_stop_is_over_when_the_service_is_stopped_and_its_process_gone(
    service: WindowsSupervisor, manager: Manager
) -> None:
    service.start()
    process = manager.process
    assert process is not None
    service.stop(30)
    assert (manager.state, process.poll() is None) == (ServiceState.STOPPED, False)
    assert (service.is_running(), service.leftovers()) == (False, ())


def test_each_start_has_another_identity(service: WindowsSupervisor) -> None:
    service.start()
    before = service.identity()
    service.stop(30)
    service.start()
    assert before is not None
    assert service.identity() not in (None, before)


def test_starting_a_service_that_runs_changes_nothing(service: WindowsSupervisor, manager: Manager) -> None:
    service.start()
    service.start()
    assert manager.told == ["start"]


def test_a_service_that_somebody_else_starts_meanwhile_is_waited_for(
    service: WindowsSupervisor, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = manager.start

    def twice(name: str) -> None:
        begin(name)
        begin(name)  # 1056

    monkeypatch.setattr(manager, "start", twice)
    service.start()
    assert manager.state is ServiceState.RUNNING


def test_a_service_that_is_stopping_is_started_when_it_has_stopped(
    service: WindowsSupervisor, manager: Manager
) -> None:
    service.start()
    manager.stop(NAME)
    service.start()
    assert manager.state is ServiceState.RUNNING


def test_a_service_that_is_starting_is_stopped_as_soon_as_it_takes_that(
    service: WindowsSupervisor, manager: Manager
) -> None:
    manager.start(NAME)
    service.stop(30)
    assert manager.state is ServiceState.STOPPED
    assert manager.told.count("stop") > 1  # 1061 first


def test_stopping_a_stopped_service_is_fine(service: WindowsSupervisor, manager: Manager) -> None:
    service.stop(30)
    assert manager.told == []


def test_a_service_that_stops_by_itself_meanwhile_is_stopped(
    service: WindowsSupervisor, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.start()

    def gone(name: str) -> None:
        manager.end()
        manager.state = ServiceState.STOPPED
        raise ScmError(NOT_ACTIVE, "ControlService")

    monkeypatch.setattr(manager, "stop", gone)
    service.stop(30)
    assert not service.is_running()


def test_a_locked_database_is_waited_for(service: WindowsSupervisor, manager: Manager) -> None:
    manager.locked = 3
    service.start()
    assert manager.told == ["start"] * 4


def test_a_service_that_ends_at_its_start_has_not_started(
    service: WindowsSupervisor, manager: Manager
) -> None:
    manager.fails = 3
    with pytest.raises(StartFailed, match="exit code 3") as caught:
        service.start()
    assert caught.value.code == "start-failed"
    assert service.exit_code() == 3


def test_a_service_that_is_being_deleted_is_not_started_and_says_what_to_do(
    service: WindowsSupervisor, manager: Manager
) -> None:
    manager.deleted = True
    with pytest.raises(StartFailed, match=r"1072.*close the services console"):
        service.start()


def test_a_service_that_does_not_stop_is_killed_at_the_deadline(
    patient: WindowsSupervisor, manager: Manager
) -> None:
    manager.hangs = True
    patient.start()
    patient.stop(1)
    assert manager.state is ServiceState.STOPPED
    assert patient.leftovers() == ()


def test_one_that_its_recovery_actions_start_again_after_that_is_stopped_again(
    patient: WindowsSupervisor, manager: Manager
) -> None:
    manager.hangs = manager.restarts = True
    patient.start()
    patient.stop(1)
    assert (manager.state, manager.process) == (ServiceState.STOPPED, None)


def test_a_stop_that_is_refused_is_told(
    service: WindowsSupervisor, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(name: str) -> None:
        raise ScmError(5, "ControlService of the service Cockpit")

    service.start()
    monkeypatch.setattr(manager, "stop", denied)
    with pytest.raises(StopFailed, match="as an administrator"):
        service.stop(1)


def test_a_running_service_that_is_disabled_could_not_be_started_again(
    service: WindowsSupervisor, manager: Manager
) -> None:
    manager.kind = DISABLED
    with pytest.raises(EngineTrouble, match="disabled") as caught:
        service.check()
    assert caught.value.code == "engine-service"


def test_a_service_that_is_not_there_is_told(tmp_path: Path, manager: Manager) -> None:
    with pytest.raises(EngineTrouble, match=r"engine\.service"):
        WindowsSupervisor(Paths(tmp_path), "Other", manager).is_running()


# a whole update, as Windows does it: two renames, and a scanner that holds folders open


class ScannedFs(FastFs):
    """No exchange of names; each folder can be renamed only after it was refused *times*."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._refused: dict[Path, int] = {}

    def exchange(self, one: Path, other: Path) -> None:
        raise ExchangeUnsupported("win32 has no renameat2")

    def rename(self, source: Path, destination: Path) -> None:
        if self._refused.setdefault(source, 0) < self._times:
            self._refused[source] += 1
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(source))
        super().rename(source, destination)


@pytest.mark.parametrize(("times", "outcome"), [(0, Outcome.OK), (59, Outcome.OK), (10**6, Outcome.ABORTED)])
def test_an_update_of_a_windows_service(
    tmp_path: Path, manager: Manager, times: int, outcome: Outcome
) -> None:
    host = Host(tmp_path / "base", stock(tmp_path / "stock"))
    assert host.install("1.0.0") is Outcome.OK
    service = WindowsSupervisor(host.paths, NAME, manager, sleep=lambda seconds: None)
    service.start()
    before = service.identity()

    def probe(spec: ProbeSpec, *, expected_version: Version) -> Tick:
        return Tick(good=host.version == expected_version.text, version=host.version, reason="version")

    context = host.context(ScannedFs(times), supervisor=service, probe=probe)
    assert host.run(context, "1.1.0") is outcome
    assert host.version == ("1.1.0" if outcome is Outcome.OK else "1.0.0")
    assert service.identity() not in (None, before)
    assert manager.told == ["start", "stop", "start"]


def test_an_update_leaves_a_service_that_was_stopped_and_disabled_so(
    tmp_path: Path, manager: Manager
) -> None:
    host = Host(tmp_path / "base", stock(tmp_path / "stock"))
    assert host.install("1.0.0") is Outcome.OK
    manager.kind = DISABLED
    service = WindowsSupervisor(host.paths, NAME, manager, sleep=lambda seconds: None)
    assert host.run(host.context(ScannedFs(1), supervisor=service), "1.1.0") is Outcome.OK
    assert (manager.told, manager.kind) == ([], DISABLED)


def test_a_service_that_could_not_be_started_again_is_not_stopped(tmp_path: Path, manager: Manager) -> None:
    host = Host(tmp_path / "base", stock(tmp_path / "stock"))
    assert host.install("1.0.0") is Outcome.OK
    service = WindowsSupervisor(host.paths, NAME, manager, sleep=lambda seconds: None)
    service.start()
    manager.kind = DISABLED
    assert host.run(host.context(supervisor=service), "1.1.0") is Outcome.ABORTED
    assert manager.told == ["start"]
    assert host.reports()[-1].code == "engine-service"
