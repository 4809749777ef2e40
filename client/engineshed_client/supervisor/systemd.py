"""The ``systemd`` supervisor: the engine is a unit of this host, started and stopped by ``systemctl`` alone.

Whether the unit is enabled is never changed, so a service that the administrator had disabled stays so; the
machine starts only what ran before. A stop is the unit's own, which asks before it kills; only at the
deadline is it killed. What its processes left behind is found by the unit's control group and by the ties to
the engine's folder (``ties``), whatever ``KillMode=`` says.

At boot the recovery runs before the engine, as one that systemd holds the engine back for: a start then is
only asked for, and what follows it is left to the updater that runs afterwards.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engineshed_client.errors import EngineTrouble, StartFailed, StopFailed
from engineshed_client.paths import Paths
from engineshed_client.supervisor.folder import EngineFolder, check_none_left
from engineshed_client.supervisor.ties import Tied

if sys.platform == "win32":
    from engineshed_client.supervisor import windows_processes as processes
else:
    from engineshed_client.supervisor import linux_processes as processes

logger = logging.getLogger(__name__)

ASK_S = 30.0
# A unit of Type=notify may take long until it says that it is up.
START_S = 600.0
KILL_S = 30.0
MAX_SAID = 200  # as many as a report takes
MAX_SAID_CHARS = 256 * 1024
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "MainPID",
    "InvocationID",
    "ControlGroup",
    "ExecMainCode",
    "ExecMainStatus",
    "After",
)
_UP = frozenset({"active", "reloading", "refreshing"})
_DOWN = frozenset({"inactive", "failed"})
_EXITED = "1"  # CLD_EXITED; CLD_KILLED and CLD_DUMPED are 2 and 3


@dataclass(frozen=True, slots=True)
class Unit:
    """What ``systemctl show`` tells of the engine's unit."""

    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    @property
    def identity(self) -> str | None:
        """``main process:invocation``, another after each start; None when the engine does not run."""
        has_process = self["MainPID"] not in ("", "0")
        if self["ActiveState"] in _UP or (self["ActiveState"] == "activating" and has_process):
            return f"{self['MainPID']}:{self['InvocationID']}"
        return None

    @property
    def is_down(self) -> bool:
        """Whether there is nothing that could be stopped."""
        return self["ActiveState"] in _DOWN


class _Slow(EngineTrouble):
    """systemctl did not end in time."""


class SystemdSupervisor:
    """The engine of one base as the unit *name*; implements ``Supervisor``."""

    def __init__(self, paths: Paths, name: str) -> None:
        self._paths = paths
        self._name = name
        self._folder = EngineFolder(paths)
        self._cgroup: str | None = None

    def check(self) -> None:
        """Pass when the unit can be started.

        Raises:
            EngineTrouble: code ``engine-service``.
        """
        state = self._look()["LoadState"]
        if state != "loaded":
            raise EngineTrouble(
                "engine-service",
                f"systemd says that {self._name} is {state or 'unknown'}, expected loaded: mend or unmask "
                "it, or name another by engine.service",
            )

    def is_running(self) -> bool:
        """True while the unit is up."""
        return self.identity() is not None

    def identity(self) -> str | None:
        """``main process:invocation`` of the unit that is up, or None."""
        return self._look().identity

    def is_held_back(self) -> bool:
        """True in a unit that the engine's waits for: in the recovery at boot."""
        own = processes.own_unit()
        if own is None or own not in self._look()["After"].split():
            return False
        return self._show(own)["ActiveState"] == "activating"

    def exit_code(self) -> int | None:
        """Exit code of the unit's last process, minus the signal's number when one ended it."""
        unit = self._look()
        if unit.identity is not None or not unit["ExecMainStatus"].isdecimal():
            return None
        code, status = unit["ExecMainCode"], int(unit["ExecMainStatus"])
        return None if code == "0" else status if code == _EXITED else -status

    def said(self) -> tuple[str, ...]:
        """The unit's last lines in the journal; () where they cannot be read, which ends no attempt."""
        words = ("--no-pager", "--quiet", "--output=cat", f"--lines={MAX_SAID}", f"--unit={self._name}")
        try:
            done = _run(*words, timeout_s=ASK_S, program="journalctl")
        except EngineTrouble as err:
            logger.warning("journal of the unit unreadable", extra={"reason": err.message})
            return ()
        return tuple(done.stdout[-MAX_SAID_CHARS:].splitlines())

    def leftovers(self) -> tuple[str, ...]:
        """Each process of the unit or tied to the engine's folder, in words."""
        return tuple(str(tied) for tied in self._tied())

    def start(self) -> None:
        """Start the unit unless it is up; while it is held back, only ask for the start.

        Raises:
            StartFailed: codes ``engine-left``, ``start-failed``.
            EngineTrouble: systemd cannot be asked.
        """
        if self.is_running():
            return
        check_none_left(self._tied())
        # An engine that failed a few times would otherwise not be started again before its interval is over.
        self._systemctl("reset-failed", self._name, timeout_s=ASK_S)
        how = ("--no-block",) if self.is_held_back() else ()
        try:
            fault = self._systemctl("start", *how, self._name, timeout_s=START_S)
        except _Slow as err:
            fault = err.message
        if fault is not None:
            raise StartFailed("start-failed", f"{fault}; see journalctl -u {self._name}")

    def stop(self, timeout_s: float) -> None:
        """Stop the unit as it wants to be stopped, kill it at the deadline, wait until nothing of it is left.

        Raises:
            StopFailed: codes ``stop-failed`` (systemd refused), ``engine-left``.
            EngineTrouble: systemd cannot be asked.
        """
        began = time.monotonic()
        # A stop of what is down would take away a start that waits, as at boot.
        if not self._look().is_down:
            self._stop_unit(timeout_s)
        self._folder.clear(self._tied, began=began, timeout_s=timeout_s)

    def take_over(self) -> str | None:
        """Nothing to be done: systemd looks after the unit; in words, when it is up."""
        unit = self._look()
        return None if unit.identity is None else f"{self._name} (process {unit['MainPID']})"

    def _stop_unit(self, timeout_s: float) -> None:
        try:
            fault = self._systemctl("stop", self._name, timeout_s=timeout_s)
        except _Slow:
            logger.warning("unit did not stop in time", extra={"unit": self._name, "timeout_s": timeout_s})
            self._systemctl("kill", "--signal=KILL", self._name, timeout_s=ASK_S)
            fault = self._systemctl("stop", self._name, timeout_s=KILL_S)
        if fault is not None:
            raise StopFailed("stop-failed", fault)

    def _tied(self) -> tuple[Tied, ...]:
        # Of a unit that is down systemd may have forgotten the group, whose processes live on.
        self._cgroup = self._look()["ControlGroup"] or self._cgroup
        return self._folder.tied(cgroup=self._cgroup)

    def _look(self) -> Unit:
        return self._show(self._name)

    def _show(self, name: str) -> Unit:
        done = _run("show", f"--property={','.join(_PROPERTIES)}", "--", name, timeout_s=ASK_S)
        if done.returncode != 0:
            raise EngineTrouble("engine-service", f"systemctl show {name}: {_said(done)}")
        return Unit(dict(line.partition("=")[::2] for line in done.stdout.splitlines()))

    def _systemctl(self, *words: str, timeout_s: float) -> str | None:
        """Run ``systemctl``; what went wrong, or None."""
        done = _run("--no-ask-password", *words, timeout_s=timeout_s)
        return None if done.returncode == 0 else f"systemctl {' '.join(words)}: {_said(done)}"


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split())[:500] or f"exit status {done.returncode}"


def _run(
    *words: str, timeout_s: float, program: Literal["systemctl", "journalctl"] = "systemctl"
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [program, *words],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise _Slow("engine-service", f"{program} {words[0]} did not end within {timeout_s:g} s") from err
    except OSError as err:
        raise EngineTrouble("engine-service", f"{program} cannot be run: {err.strerror or err}") from err
