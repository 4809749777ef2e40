"""The service control manager of this Windows host, by ``advapi32``.

Type-checked with everything else, and not run by this project's tests, which run on Linux: there a manager
that behaves as documented stands in its place.
"""

from __future__ import annotations

import ctypes
import sys
from types import TracebackType
from typing import Final

from engineshed_client.supervisor.scm import SERVICE_SPECIFIC, ScmError, ServiceState, ServiceStatus

assert sys.platform == "win32", "imported where there is a service control manager"

from ctypes import wintypes  # noqa: E402  # cannot be imported everywhere else

_MANAGER_CONNECT: Final = 0x0001
_QUERY_CONFIG, _QUERY_STATUS, _START, _STOP = 0x0001, 0x0004, 0x0010, 0x0020
_CONTROL_STOP: Final = 1
_STATUS_PROCESS: Final = 0  # SC_STATUS_PROCESS_INFO
_MAX_CONFIG_BYTES: Final = 8192  # QueryServiceConfigW gives no more


class WindowsServices:
    """Implements ``ServiceManager``."""

    def status(self, name: str) -> ServiceStatus:
        """How the service is now."""
        # SERVICE_STATUS_PROCESS: type, state, accepted, two exit codes, check point, hint, process, flags
        values, needed = (wintypes.DWORD * 9)(), wintypes.DWORD()
        with _Service(name, _QUERY_STATUS) as service:
            service.call(
                "QueryServiceStatusEx",
                _STATUS_PROCESS,
                ctypes.byref(values),
                ctypes.sizeof(values),
                ctypes.byref(needed),
            )
        exit_code = values[4] if values[3] == SERVICE_SPECIFIC else values[3]
        return ServiceStatus(state=ServiceState(values[1]), process=values[7], exit_code=exit_code)

    def start_type(self, name: str) -> int:
        """When it is started."""
        # QUERY_SERVICE_CONFIGW: service type, start type, …, and behind it the texts it points to
        buffer, needed = ctypes.create_string_buffer(_MAX_CONFIG_BYTES), wintypes.DWORD()
        with _Service(name, _QUERY_CONFIG) as service:
            service.call("QueryServiceConfigW", buffer, _MAX_CONFIG_BYTES, ctypes.byref(needed))
        return int.from_bytes(buffer.raw[4:8], "little")

    def start(self, name: str) -> None:
        """Begin to start it."""
        with _Service(name, _START) as service:
            service.call("StartServiceW", 0, None)

    def stop(self, name: str) -> None:
        """Tell it to stop."""
        status = (wintypes.DWORD * 7)()
        with _Service(name, _STOP) as service:
            service.call("ControlService", _CONTROL_STOP, ctypes.byref(status))


class _Service:
    """An open service, with the rights that are asked for; closed at the end of the block."""

    def __init__(self, name: str, rights: int) -> None:
        self._name = name
        self._rights = rights
        self._library = ctypes.WinDLL("advapi32", use_last_error=True)
        self._handles: list[wintypes.HANDLE] = []

    def __enter__(self) -> _Service:
        try:
            self._open("OpenSCManagerW", None, None, _MANAGER_CONNECT)
            self._open("OpenServiceW", self._handles[-1], self._name, self._rights)
        except ScmError:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def call(self, function: str, *arguments: object) -> None:
        """Call a function that takes the service first and gives zero on failure.

        Raises:
            ScmError: it failed.
        """
        if not getattr(self._library, function)(self._handles[-1], *arguments):
            raise ScmError(ctypes.get_last_error(), f"{function} of the service {self._name}")

    def _open(self, function: str, *arguments: object) -> None:
        opened = getattr(self._library, function)
        opened.restype = wintypes.HANDLE
        handle = opened(*arguments)
        if not handle:
            raise ScmError(ctypes.get_last_error(), f"{function} of the service {self._name}")
        self._handles.append(wintypes.HANDLE(handle))

    def _close(self) -> None:
        while self._handles:
            self._library.CloseServiceHandle(self._handles.pop())
