"""The engine as a service: start, stop, and proof that nothing of it is left.

``command``: the updater starts the engine itself, in a session of its own that outlives the updater.
``systemd``, ``windows``: the engine is a unit, or a service, of the host.
"""

from __future__ import annotations

from typing import Protocol

from engineshed_client.supervisor.command import CommandSupervisor
from engineshed_client.supervisor.output import cap_output, engine_output
from engineshed_client.supervisor.systemd import SystemdSupervisor
from engineshed_client.supervisor.windows import WindowsSupervisor

__all__ = [
    "CommandSupervisor",
    "Supervisor",
    "SystemdSupervisor",
    "WindowsSupervisor",
    "cap_output",
    "engine_output",
]


class Supervisor(Protocol):
    """What the machine needs of a service manager. Every call may be repeated."""

    def check(self) -> None:
        """Pass when the engine, once stopped, could be started again.

        Raises:
            EngineTrouble: code ``engine-service``: the service manager cannot be asked, or would not.
        """
        ...

    def is_held_back(self) -> bool:
        """True while the engine is started only after this process has ended, as by a recovery at boot."""
        ...

    def is_running(self) -> bool:
        """True while the engine's own process, the very one that was started, is alive."""
        ...

    def start(self) -> None:
        """Start the engine; nothing happens when it runs.

        Raises:
            StartFailed: it could not be started, or something of an earlier start is left.
        """
        ...

    def stop(self, timeout_s: float) -> None:
        """Stop the engine; return when no process of it is left, however it was started.

        Raises:
            StopFailed: a process is left although the deadline has passed; it is named.
        """
        ...

    def identity(self) -> str | None:
        """Names the running engine's process, another after each start; None when it does not run."""
        ...

    def exit_code(self) -> int | None:
        """How the engine's process that was started last ended; None when it lives, or nobody here knows."""
        ...

    def said(self) -> tuple[str, ...]:
        """The last lines the engine wrote where its service manager keeps them; () where that keeps none."""
        ...

    def leftovers(self) -> tuple[str, ...]:
        """Each process that still holds on to the engine's folder, in words; empty when there is none."""
        ...

    def take_over(self) -> str | None:
        """Look after an engine that runs and that somebody else started; it is not touched.

        Returns its process in words; None when none runs, or it is looked after already.

        Raises:
            EngineTrouble: code ``engine-foreign``: it cannot be told which process it is, or another service
                manager has it; the message says what to do.
        """
        ...
