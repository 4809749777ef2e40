"""What ties a process to an engine: values that the platforms' modules find.

A real Java engine shows neither its executable nor its working directory under the engine's folder. So
any of these ties counts:

    session   it is in the session or the process group that the updater made for the engine
    cgroup    it is in the control group of the engine's unit
    marker    it inherited the environment variable that the updater set for the engine
    exe       its executable lies under the engine's folder
    mapped    it has a shipped file mapped
    open      it has a shipped file open
    argument  it was started with a shipped file as an argument, as interpreters are with their script
    cwd       its working directory lies under the engine's folder

The first five run the engine's code: they are the engine's own and may be ended. The others may be an
administrator's shell, editor or backup: they hold the swap up, but they are only waited for and named. A
reader of a log has no tie: a log is no shipped file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

MARKER: Final = "ENGINESHED_ENGINE"
Tie: TypeAlias = Literal["session", "cgroup", "marker", "exe", "mapped", "open", "argument", "cwd"]
Request: TypeAlias = Literal["terminate", "kill"]
_OWN: Final[frozenset[Tie]] = frozenset({"session", "cgroup", "marker", "exe", "mapped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What ties are looked for.

    Attributes:
        folder: the engine's. is_shipped: whether the file at a path relative to it is a shipped one.
        leader: identity of the process that leads the session the updater made, or None.
        cgroup: the control group of the engine's unit, as ``/system.slice/cockpit.service``, or None.
    """

    folder: Path
    is_shipped: Callable[[str], bool]
    leader: str | None = None
    cgroup: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tied:
    """A living process that is tied to an engine, and by what."""

    identity: str
    tie: Tie
    command: str

    @property
    def own(self) -> bool:
        """True when it runs the engine's code, so that the updater may end it."""
        return self.tie in _OWN

    def __str__(self) -> str:
        return f"process {self.identity.partition(':')[0]} ({self.command}, {self.tie})"
