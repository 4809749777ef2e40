"""The ``windows`` supervisor: the engine is a Windows service, started and stopped by the service manager.

A stop is over when the service is STOPPED and its process has ended, a start when it is RUNNING. The service
is never created, deleted or changed: its start type, account and recovery actions are the administrator's,
and stay. A service that is disabled could not be started again, so a running one that is, is not stopped.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from engineshed_client.errors import EngineTrouble, StartFailed, StopFailed
from engineshed_client.paths import Paths
from engineshed_client.supervisor.folder import EngineFolder, check_none_left
from engineshed_client.supervisor.scm import (
    ALREADY_RUNNING,
    CANNOT_ACCEPT,
    DATABASE_LOCKED,
    DISABLED,
    NOT_ACTIVE,
    ScmError,
    ServiceManager,
    ServiceState,
    ServiceStatus,
)
from engineshed_client.supervisor.ties import Tied

if sys.platform == "win32":
    from engineshed_client.supervisor import windows_processes as processes
else:
    from engineshed_client.supervisor import linux_processes as processes

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
START_S = 300.0
KILL_S = 30.0


class WindowsSupervisor:
    """The engine of one base as the service *name*; implements ``Supervisor``.

    Args:
        sleep: waits that many seconds; how often it is called is what ends waiting.
    """

    def __init__(
        self,
        paths: Paths,
        name: str,
        manager: ServiceManager,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._manager = manager
        self._sleep = sleep
        self._folder = EngineFolder(paths)
        self._leader: str | None = None

    def check(self) -> None:
        """Pass when the service can be started.

        Raises:
            EngineTrouble: code ``engine-service``.
        """
        try:
            start_type = self._manager.start_type(self._name)
        except ScmError as err:
            raise EngineTrouble("engine-service", str(err)) from err
        if start_type == DISABLED:
            raise EngineTrouble(
                "engine-service",
                f"the service {self._name} runs and is disabled, so that it could not be started again: stop "
                "it, or set another start type",
            )

    def is_held_back(self) -> bool:
        """False: nothing here runs before the engine's service."""
        return False

    def is_running(self) -> bool:
        """True while the service is not stopped, nor about to be."""
        return self.identity() is not None

    def identity(self) -> str | None:
        """The process of the service, or None."""
        status = self._look()
        if status.state in (ServiceState.STOPPED, ServiceState.STOP_PENDING):
            return None
        return _identify(status)

    def exit_code(self) -> int | None:
        """How the service's last process ended, as it told the service manager."""
        status = self._look()
        return status.exit_code if status.state is ServiceState.STOPPED else None

    def said(self) -> tuple[str, ...]:
        """Nothing: the manager keeps no output of a service."""
        return ()

    def leftovers(self) -> tuple[str, ...]:
        """The service's process, while it is alive, in words."""
        return tuple(str(tied) for tied in self._tied())

    def start(self) -> None:
        """Start the service and wait until it says that it runs.

        Raises:
            StartFailed: codes ``engine-left``, ``start-failed``.
            EngineTrouble: the manager cannot be asked.
        """
        status = self._look()
        if status.state is ServiceState.STOP_PENDING:
            status = self._wait(status, START_S)
        if status.state is ServiceState.STOPPED:
            check_none_left(self._tied())
            self._tell_to_start()
        status = self._wait(self._look(), START_S)
        if status.state is not ServiceState.RUNNING:
            raise StartFailed(
                "start-failed",
                f"the service {self._name} is {status.state.name}, expected RUNNING; it told exit code "
                f"{status.exit_code}: see the event log",
            )

    def stop(self, timeout_s: float) -> None:
        """Stop the service, end its process at the deadline, wait until it has ended.

        Raises:
            StopFailed: codes ``stop-failed``, ``engine-left``.
            EngineTrouble: the manager cannot be asked.
        """
        began = time.monotonic()
        status = self._stop_service(timeout_s)
        if status.state is not ServiceState.STOPPED:
            logger.warning("service did not stop in time", extra={"service": self._name})
            self._kill(status)
            # Its recovery actions may have started it again: it is told to stop once more.
            status = self._stop_service(KILL_S)
        if status.state is not ServiceState.STOPPED:
            raise StopFailed(
                "stop-failed",
                f"the service {self._name} is {status.state.name} after {timeout_s:g} s, expected STOPPED",
            )
        # A process may live on for a moment after its service has said that it is stopped.
        self._folder.clear(self._tied, began=began, timeout_s=timeout_s)

    def take_over(self) -> str | None:
        """Nothing to be done: the service manager looks after the service; in words, when it runs."""
        status = self._look()
        if status.state is ServiceState.STOPPED:
            return None
        return f"the service {self._name} (process {status.process})"

    def _tell_to_start(self) -> None:
        for _ in range(_looks(START_S)):
            try:
                self._manager.start(self._name)
                return
            except ScmError as err:
                if err.code == ALREADY_RUNNING:
                    return
                if err.code != DATABASE_LOCKED:
                    raise StartFailed("start-failed", str(err)) from err
            self._sleep(LOOK_EVERY_S)
        raise StartFailed(
            "start-failed", f"the database of services stays locked, {self._name} is not started"
        )

    def _stop_service(self, timeout_s: float) -> ServiceStatus:
        """Tell it to stop, as soon as it takes that, and wait; how it is then."""
        status, told = self._look(), False
        for _ in range(_looks(timeout_s)):
            if status.state is ServiceState.STOPPED:
                break
            if status.state is not ServiceState.STOP_PENDING and not told:
                told = self._tell_to_stop()
            self._sleep(LOOK_EVERY_S)
            status = self._look()
        return status

    def _tell_to_stop(self) -> bool:
        """Whether it was told; a service that is starting takes no word yet."""
        try:
            self._manager.stop(self._name)
        except ScmError as err:
            if err.code == CANNOT_ACCEPT:
                return False
            if err.code != NOT_ACTIVE:
                raise StopFailed("stop-failed", str(err)) from err
        return True

    def _wait(self, status: ServiceStatus, patience_s: float) -> ServiceStatus:
        """Wait while it is pending; how it is then."""
        for _ in range(_looks(patience_s)):
            if not status.state.name.endswith("_PENDING"):
                break
            self._sleep(LOOK_EVERY_S)
            status = self._look()
        return status

    def _kill(self, status: ServiceStatus) -> None:
        identity = _identify(status)
        if identity is not None:
            try:
                processes.send(identity, "kill")
            except PermissionError:
                logger.warning("process of the service not ended", extra={"service": self._name})

    def _tied(self) -> tuple[Tied, ...]:
        return self._folder.tied(leader=self._leader)

    def _look(self) -> ServiceStatus:
        try:
            status = self._manager.status(self._name)
        except ScmError as err:
            raise EngineTrouble("engine-service", str(err)) from err
        self._leader = _identify(status) or self._leader
        return status


def _identify(status: ServiceStatus) -> str | None:
    return processes.identify(status.process) if status.process else None


def _looks(seconds: float) -> int:
    return max(1, int(seconds / LOOK_EVERY_S))
