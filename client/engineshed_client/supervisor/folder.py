"""What holds on to the engine's folder, and how it is made to let go; the same for every service manager."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence

from engineshed_client.errors import StartFailed, StopFailed
from engineshed_client.fsops import find_stat
from engineshed_client.paths import Paths
from engineshed_client.supervisor.ties import Engine, Request, Tied
from engineshed_packages.errors import Refused
from engineshed_packages.files import read_limited
from engineshed_packages.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest

if sys.platform == "win32":
    from engineshed_client.supervisor import windows_processes as processes
else:
    from engineshed_client.supervisor import linux_processes as processes

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = 0.1
_KILL_WAIT_S = 10.0
_NAMED = 5


class EngineFolder:
    """The processes that are tied to the engine's folder of one base."""

    def __init__(self, paths: Paths) -> None:
        self._path = paths.engine
        self._shipped: frozenset[str] | None = None
        self._shipped_stamp: tuple[int, int] | None = (0, 0)

    def tied(self, *, leader: str | None = None, cgroup: str | None = None) -> tuple[Tied, ...]:
        """Each living process that is tied to it; *leader* and *cgroup* as in ``Engine``."""
        return processes.find_tied(
            Engine(folder=self._path, is_shipped=self._shipped_test(), leader=leader, cgroup=cgroup)
        )

    def manifest(self) -> Manifest:
        """The manifest of the engine in it.

        Raises:
            StartFailed: there is none that can be used.
        """
        path = self._path / MANIFEST_NAME
        try:
            return Manifest.from_bytes(read_limited(path, MAX_MANIFEST_BYTES))
        except Refused as err:
            raise StartFailed(err.code, f"{path}: {err.message}") from err

    def clear(
        self,
        look: Callable[[], tuple[Tied, ...]],
        *,
        began: float,
        timeout_s: float,
        quiet_s: float = 0.0,
        is_running: Callable[[], bool] = lambda: False,
    ) -> None:
        """Ask what *look* finds to end, wait, end what is left at the deadline.

        Args:
            began: the monotonic time from which *timeout_s* counts. quiet_s: for how long nobody is asked.
            is_running: whether the engine itself still runs; while it does, nobody looks further.

        Raises:
            StopFailed: code ``engine-left``: a process is left that could not or must not be ended.
        """
        asked: set[str] = set()
        left = look()
        while left and time.monotonic() < began + timeout_s:
            if time.monotonic() >= began + quiet_s:
                _send(left, "terminate", spare=asked)
                asked.update(tied.identity for tied in left)
            time.sleep(_LOOK_AGAIN_S)
            # Looking at every process of the host costs; while the engine itself runs there is no need.
            left = left if asked and is_running() else look()
        if left:
            left = _end(look, timeout_s)
        if left:
            raise StopFailed(
                "engine-left",
                f"after {timeout_s:g} s {listed(left)} still holds on to {self._path}: end it, "
                "or let it close its files, then try again",
            )

    def _shipped_test(self) -> Callable[[str], bool]:
        """Whether a path is a shipped file; without a manifest all but logs are."""
        found = find_stat(self._path / MANIFEST_NAME)
        stamp = None if found is None else (found.st_ino, found.st_mtime_ns)
        if stamp != self._shipped_stamp:
            try:
                shipped = frozenset(entry.path for entry in self.manifest().shipped())
            except StartFailed:
                shipped = None
            self._shipped_stamp, self._shipped = stamp, shipped
        known = self._shipped
        return _is_no_log if known is None else known.__contains__


def check_none_left(left: Sequence[Tied]) -> None:
    """Pass when nothing of an earlier start runs.

    Raises:
        StartFailed: code ``engine-left``: something does.
    """
    own = [tied for tied in left if tied.own]
    if own:
        raise StartFailed(
            "engine-left", f"the engine is not started beside {listed(own)}: that must be stopped first"
        )


def listed(tied: Sequence[Tied]) -> str:
    """The first of them in words, and how many more there are."""
    more = f" and {len(tied) - _NAMED} more" if len(tied) > _NAMED else ""
    return ", ".join(str(one) for one in tied[:_NAMED]) + more


def _end(look: Callable[[], tuple[Tied, ...]], timeout_s: float) -> tuple[Tied, ...]:
    """Kill what is the engine's own; return what is left then."""
    left = look()
    logger.warning("engine did not stop in time", extra={"left": listed(left), "timeout_s": timeout_s})
    deadline = time.monotonic() + _KILL_WAIT_S
    while any(tied.own for tied in left) and time.monotonic() < deadline:
        _send(left, "kill", spare=set())
        time.sleep(_LOOK_AGAIN_S)
        left = look()
    return left


def _send(tied: Sequence[Tied], request: Request, *, spare: set[str]) -> None:
    for one in tied:
        if one.own and one.identity not in spare:
            try:
                processes.send(one.identity, request)
            except PermissionError:
                logger.warning("process of another user not ended", extra={"tied": str(one)})


def _is_no_log(path: str) -> bool:
    return not path.startswith("logs/") and not path.endswith(".log")
