"""Processes on Windows: identity and ending, by ``kernel32`` and ``taskkill``.

Type-checked with everything else, but not run by this project's tests, which run on Linux. Windows has
neither sessions in the sense of POSIX nor ``/proc``: the engine is the recorded process with the tree
that ``taskkill /T`` finds below it, and a file still open under the engine's folder shows when the
folder is renamed (the swap retries on locks).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from engineshed_client.supervisor.ties import Engine, Request, Tied

_QUERY_LIMITED_INFORMATION = 0x1000
_STILL_ACTIVE = 259
_TASKKILL_S = 20


def identify(pid: int) -> str | None:
    """``pid:creation time`` of the living process *pid*, or None.

    Source: OpenProcess, GetExitCodeProcess and GetProcessTimes of the Windows API.
    """
    if sys.platform != "win32":
        return None
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid)
    if not handle:
        return None
    try:
        code = wintypes.DWORD()
        times = [wintypes.FILETIME() for _ in range(4)]
        known = kernel.GetExitCodeProcess(wintypes.HANDLE(handle), ctypes.byref(code))
        known = known and kernel.GetProcessTimes(wintypes.HANDLE(handle), *map(ctypes.byref, times))
        if not known or code.value != _STILL_ACTIVE:
            return None
        return f"{pid}:{times[0].dwHighDateTime << 32 | times[0].dwLowDateTime}"
    finally:
        kernel.CloseHandle(wintypes.HANDLE(handle))


def is_of_another_boot(identity: str) -> bool:
    """False: an identity here does not tell; the engine is to be started by a service of its own."""
    return False


def find_roots(tied: Sequence[Tied]) -> tuple[Tied, ...]:
    """All of them: here only the recorded process is ever found."""
    return tuple(tied)


def find_unit(tied: Tied) -> str | None:
    """None: there is no systemd here."""
    return None


def own_unit() -> str | None:
    """None: there is no systemd here."""
    return None


def find_tied(engine: Engine) -> tuple[Tied, ...]:
    """The recorded process, when it is alive."""
    leader = engine.leader
    if leader is None or identify(int(leader.partition(":")[0])) != leader:
        return ()
    return (Tied(identity=leader, tie="session", command="engine"),)


def send(identity: str, request: Request) -> None:
    """Ask the process *identity* and all below it to end, or end them."""
    pid = identity.partition(":")[0]
    if identify(int(pid)) != identity:
        return
    subprocess.run(
        ["taskkill", "/T", *(["/F"] if request == "kill" else []), "/PID", pid],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_TASKKILL_S,
        check=False,
    )
