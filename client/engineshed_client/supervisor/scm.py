"""The service control manager of Windows: what is asked of it, and how it answers.

The names and numbers are those of ``winsvc.h`` and ``winerror.h``. The manager answers at once: a service
that was told to start or stop is pending until it says that it has done so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol


class ServiceState(IntEnum):
    """``dwCurrentState`` of ``SERVICE_STATUS_PROCESS``."""

    STOPPED = 1
    START_PENDING = 2
    STOP_PENDING = 3
    RUNNING = 4
    CONTINUE_PENDING = 5
    PAUSE_PENDING = 6
    PAUSED = 7


DISABLED: Final = 4  # dwStartType
SERVICE_SPECIFIC: Final = 1066  # ERROR_SERVICE_SPECIFIC_ERROR: the service has a code of its own

ACCESS_DENIED: Final = 5
DEPENDENTS_RUN: Final = 1051
DATABASE_LOCKED: Final = 1055
ALREADY_RUNNING: Final = 1056
DISABLED_SERVICE: Final = 1058
NO_SUCH_SERVICE: Final = 1060
CANNOT_ACCEPT: Final = 1061
NOT_ACTIVE: Final = 1062
MARKED_FOR_DELETE: Final = 1072

_ADVICE: Final = {
    ACCESS_DENIED: "run the updater as SYSTEM or as an administrator",
    DEPENDENTS_RUN: "other services depend on it and run: stop them first",
    DISABLED_SERVICE: "it is disabled: set another start type, if it is to run",
    NO_SUCH_SERVICE: "there is no such service: name the engine's by engine.service",
    MARKED_FOR_DELETE: "it is being deleted: close the services console, or restart the host",
}


class ScmError(Exception):
    """The manager refused.

    Attributes:
        code: the error of Windows, as 1056.
    """

    def __init__(self, code: int, what: str) -> None:
        advice = f": {_ADVICE[code]}" if code in _ADVICE else ""
        super().__init__(f"{what} failed with Windows error {code}{advice}")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """How a service is; *process* is 0 when it has none, *exit_code* that of its last run."""

    state: ServiceState
    process: int
    exit_code: int


class ServiceManager(Protocol):
    """What is asked of the manager. None of it creates, deletes or changes a service."""

    def status(self, name: str) -> ServiceStatus:
        """How the service is now.

        Raises:
            ScmError: it cannot be told.
        """
        ...

    def start_type(self, name: str) -> int:
        """When it is started: 2 at boot, 3 on demand, 4 never.

        Raises:
            ScmError: it cannot be told.
        """
        ...

    def start(self, name: str) -> None:
        """Begin to start it.

        Raises:
            ScmError: it is not started.
        """
        ...

    def stop(self, name: str) -> None:
        """Tell it to stop.

        Raises:
            ScmError: it was not told.
        """
        ...
