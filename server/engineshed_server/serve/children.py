"""One child of the parent: how it is started, so that it never outlives its parent, and how it is stopped.

The kernel is asked, between fork and exec, to send the child SIGTERM when its parent dies
(``PR_SET_PDEATHSIG``, prctl(2)): that covers a parent killed with SIGKILL, which can tell nobody. The
request survives exec. Each child leads a process group of its own, so that Ctrl-C on a terminal reaches
the parent alone, which then drains, and so that one signal ends a child with all its descendants.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engineshed_packages.jsontext import Fields, Json

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
LONG_S = 3600.0
HEALTHY_AFTER_S = 60.0  # a child that lived this long died of something new


def die_with_parent(signal_number: int, parent_pid: int) -> None:
    """Ask the kernel to send this process *signal_number* when its parent dies.

    To be called in the child. The parent may have died before the request was made: then this process
    already has another parent, gets the signal from itself, and nothing is left either way.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildPlan:
    """What to run: a name for the log, the command, and the descriptors it inherits."""

    name: str
    command: Sequence[str]
    descriptors: Sequence[int] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> ChildPlan:
        """The plan that ``to_dict`` wrote.

        Raises:
            ProtocolRefused: it is none.
        """
        fields = Fields(values, "plan")
        descriptors = fields.texts("descriptors", max_items=16, max_chars=8)
        return cls(
            name=fields.text("name"),
            command=fields.texts("command", max_items=100, max_chars=4096),
            descriptors=[int(text) for text in descriptors],
        )

    def to_dict(self) -> dict[str, Json]:
        """The plan as a JSON object, for the arguments of the parent."""
        return {
            "name": self.name,
            "command": list(self.command),
            "descriptors": [str(number) for number in self.descriptors],
        }


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next start; grows while starts keep failing."""

    failures: int = 0

    @property
    def pause_s(self) -> float:
        """0.5 s after the first death, doubling up to 30 s."""
        return min(FIRST_PAUSE_S * 2.0 ** min(max(0, self.failures - 1), 16), LONGEST_PAUSE_S)

    def after_life_of(self, lived_s: float) -> Backoff:
        """The backoff after a child died that had lived *lived_s* seconds."""
        return Backoff(1) if lived_s >= HEALTHY_AFTER_S else Backoff(self.failures + 1)


class Child:
    """A child process that is started again and again from one plan.

    Times are seconds of the monotonic clock, passed in by the parent.
    """

    def __init__(self, plan: ChildPlan, spawn: Callable[[ChildPlan], subprocess.Popen[bytes]]) -> None:
        self.plan = plan
        self._spawn = spawn
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._due_s = 0.0
        self._backoff = Backoff()

    @property
    def runs(self) -> bool:
        """Whether the child has been started and not been seen dead."""
        return self._process is not None

    def start_when_due(self, now_s: float) -> None:
        """Start the child unless it runs or its pause is not over; a start that fails counts as a death."""
        if self.runs or now_s < self._due_s:
            return
        self._started_s = now_s
        try:
            self._process = self._spawn(self.plan)
        except (OSError, subprocess.SubprocessError) as err:
            self._pause(now_s)
            logger.error(
                "child not started",
                extra={"child": self.plan.name, "error": str(err), "restart_in_s": self._backoff.pause_s},
            )
            return
        logger.info("child started", extra={"child": self.plan.name, "child_pid": self._process.pid})

    def wait_s(self, now_s: float) -> float:
        """Seconds until ``start_when_due`` has something to do; very long while the child runs."""
        return LONG_S if self.runs else max(0.0, self._due_s - now_s)

    def reap(self, now_s: float) -> int | None:
        """Notice that the child has died: its return code (negative: signal), or None while it runs."""
        if self._process is None or not _is_dead(self._process.pid):
            return None
        # Whatever the child had started must not go on beside its successor. The group is ended before
        # the child is reaped: until then nobody else can be given its number.
        end_group(self._process.pid)
        code = self._process.wait()
        self._process = None
        self._pause(now_s)
        logger.warning(
            "child died",
            extra={"child": self.plan.name, "returncode": code, "restart_in_s": self._backoff.pause_s},
        )
        return code

    def _pause(self, now_s: float) -> None:
        self._backoff = self._backoff.after_life_of(now_s - self._started_s)
        self._due_s = now_s + self._backoff.pause_s

    def tell(self, signal_number: int) -> None:
        """Send the child itself *signal_number*; nothing happens when it does not run."""
        if self._process is not None:
            self._process.send_signal(signal_number)

    def has_stopped(self) -> bool:
        """Whether the child is gone after it was told to stop; it is reaped then."""
        if self._process is None:
            return True
        if not _is_dead(self._process.pid):
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """End the child and all it started, at once, and reap it."""
        if self._process is not None:
            end_group(self._process.pid)
            code = self._process.wait()
            self._process = None
            logger.info("child stopped", extra={"child": self.plan.name, "returncode": code})


def _is_dead(pid: int) -> bool:
    if sys.platform != "linux":
        return False
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end_group(leader_pid: int) -> None:
    """Kill every process in the group of *leader_pid*; an empty group is no error."""
    if sys.platform == "linux":
        try:
            os.killpg(leader_pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def dying_with_us() -> Callable[[], None]:
    """What a child is to do between fork and exec: unblock all signals, die with this process."""
    parent_pid = os.getpid()

    def between_fork_and_exec() -> None:
        if sys.platform == "linux":
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
        die_with_parent(signal.SIGTERM, parent_pid)

    return between_fork_and_exec


def spawn(plan: ChildPlan) -> subprocess.Popen[bytes]:
    """Start *plan* as a child that dies with this process."""
    return subprocess.Popen(
        list(plan.command),
        pass_fds=tuple(plan.descriptors),
        process_group=0,
        stdin=subprocess.DEVNULL,
        preexec_fn=dying_with_us(),  # the parent has one thread: nothing can be locked in the child
    )
