"""Where a running process can be killed: each of its mutating system calls, found in a dry run under strace.

with dry_run(pid, log):
    ...                                 # let the process do it once
for point in read_points(log):
    with killed_at(pid, point):
        ...                             # again: it dies before that call is carried out
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.server.serve.processes import wait_until

# Whatever changes a file, a folder or what a peer has heard.
MUTATING = (
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "unlink",
    "mkdir",
    "sendto",
    "sendmsg",
)
_CALL = re.compile(r"(\d+) +(\w+)\((.*)")


@dataclass(frozen=True, order=True)
class Point:
    """The `count`-th `call` of a thread of the process."""

    call: str
    count: int

    def __str__(self) -> str:
        return f"{self.call}#{self.count}"


@dataclass(frozen=True)
class Seen:
    """A call of the dry run: the point, and its arguments as strace writes them."""

    point: Point
    arguments: str


def _strace(pid: int, words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    # -f attaches to all threads and to those that are still to come.
    every = ["strace", "-f", "-qq", "-s", "200", "-o", str(log), *words, "-p", str(pid)]
    tracer = subprocess.Popen(every, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: _is_traced(pid), "strace holds the process")
    return tracer


def _end(tracer: subprocess.Popen[bytes]) -> None:
    tracer.terminate()
    try:
        tracer.wait(5)
    except subprocess.TimeoutExpired:
        # It may wait for ever for a thread of a process that is dying already; freed of it, that one dies.
        tracer.kill()
        tracer.wait()


def _is_traced(pid: int) -> bool:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all("\nTracerPid:\t0\n" not in (task / "status").read_text() for task in tasks)


@contextmanager
def traced(pid: int, log: Path, *, words: Sequence[str] = ()) -> Iterator[None]:
    """Write the calls of the process into `log` while the block runs: all, or those strace's `words` name."""
    tracer = _strace(pid, words, log)
    try:
        yield
    finally:
        _end(tracer)


def dry_run(pid: int, log: Path) -> AbstractContextManager[None]:
    """Write the mutating calls of the process into `log` while the block runs."""
    return traced(pid, log, words=["-e", f"trace={','.join(MUTATING)}"])


@contextmanager
def killed_at(pid: int, point: Point, log: Path) -> Iterator[None]:
    """Let the process die at `point`, if it comes there while the block runs."""
    inject = f"inject={point.call}:signal=SIGKILL:when={point.count}"
    tracer = _strace(pid, ["-e", f"trace={point.call}", "-e", inject], log)
    try:
        yield
    finally:
        _end(tracer)


def read_calls(log: Path) -> list[Seen]:
    """The calls of a dry run, in their order; strace counts each kind of call by thread."""
    counts: Counter[tuple[str, str]] = Counter()
    seen: list[Seen] = []
    for line in log.read_text("utf-8", "replace").splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        thread, call, arguments = found.groups()
        counts[thread, call] += 1
        seen.append(Seen(Point(call, counts[thread, call]), arguments))
    return seen


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
