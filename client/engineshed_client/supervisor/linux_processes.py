"""Processes on Linux, read from ``/proc``: who they are, and which of them belong to an engine.

A process number is reused, so an identity is pid, start time (clock ticks since boot) and the boot it
counts from: ``4711:88231:3f1c09aa``. A zombie is not a process any more: nothing of it runs.

Where the host is a container, its boot is told by the unit (``BOOT_ENV``), because below the unit's sandbox
the kernel tells that of the machine, and a container that was restarted is known by its first process.

Processes of other users show what the caller may read of them; the updater usually runs as root or as
the engine's own user. The ties are explained in ``ties``.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engineshed_client.supervisor.ties import MARKER, Engine, Request, Tie, Tied

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
BOOT_ENV = "ENGINESHED_BOOT_ID"
_BOOT = re.compile(r"[0-9a-f]{32}", re.ASCII)
_FIRST = 1
_DEAD = (b"Z", b"X", b"x")
_DELETED = " (deleted)"
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)
_COMMAND_CHARACTERS = 80
_ARGUMENTS = 8  # a script stands behind its interpreter and some options of that


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of ``/proc/<pid>/stat``: the fields that matter here."""

    pid: int
    parent: int
    group: int
    session: int
    started: int

    @property
    def identity(self) -> str:
        """``pid:start time:boot``, the same only for the very same process."""
        return f"{self.pid}:{self.started}:{_boot()}"


def read_process(pid: int) -> Process | None:
    """The process *pid*, or None when there is none or only its zombie is left."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except _GONE:
        return None
    # The command stands in brackets and may itself hold brackets and spaces: cut behind the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] in _DEAD:
        return None
    return Process(
        pid=pid, parent=int(fields[1]), group=int(fields[2]), session=int(fields[3]), started=int(fields[19])
    )


def identify(pid: int) -> str | None:
    """The identity of the living process *pid*, or None."""
    process = read_process(pid)
    return None if process is None else process.identity


def is_of_another_boot(identity: str) -> bool:
    """True when *identity* was taken before the host, or the container, was started the last time."""
    _, _, rest = identity.partition(":")
    started, _, boot = rest.partition(":")
    if boot != _boot() or not started.isdecimal():
        return True
    first = read_process(_FIRST)
    return first is not None and int(started) < first.started


def find_tied(engine: Engine) -> tuple[Tied, ...]:
    """Every living process tied to *engine*, the caller itself left out.

    Processes of other users whose details the caller may not read show only their session.
    """
    folder = os.path.realpath(engine.folder)
    session = _session_of(engine.leader)
    marker = f"{MARKER}={folder}".encode()
    found = []
    for process in _processes():
        tie = _tie(process, engine, folder=folder, session=session, marker=marker)
        if tie is not None and process.pid != os.getpid():
            found.append(Tied(identity=process.identity, tie=tie, command=_command(process.pid)))
    return tuple(found)


def find_roots(tied: Sequence[Tied]) -> tuple[Tied, ...]:
    """Those of *tied* that were started by none of them."""
    pids = {_pid(one) for one in tied}
    known = ((one, read_process(_pid(one))) for one in tied)
    return tuple(one for one, process in known if process is not None and process.parent not in pids)


def _pid(tied: Tied) -> int:
    return int(tied.identity.partition(":")[0])


def find_unit(tied: Tied) -> str | None:
    """The service of systemd that *tied* is part of, when this process is not part of the same one."""
    unit = _unit(str(_pid(tied)))
    return None if unit == own_unit() else unit


def own_unit() -> str | None:
    """The service of systemd that this process is part of."""
    return _unit("self")


def _unit(name: str) -> str | None:
    for line in _split(_PROC / name / "cgroup", b"\n"):
        last = os.fsdecode(line).rpartition("/")[2]
        if last.endswith(".service"):
            return last
    return None


def send(identity: str, request: Request) -> None:
    """Ask the process *identity* to end, or end it; one that is gone or was replaced is left alone.

    Raises:
        PermissionError: the process belongs to somebody else.
    """
    if sys.platform != "linux":
        raise NotImplementedError("signals by process descriptor exist on Linux only")
    pid = int(identity.partition(":")[0])
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The descriptor pins the process: compared after opening, the signal cannot hit a successor.
        if identify(pid) == identity:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM if request == "terminate" else signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _boot() -> str:
    told = os.environ.get(BOOT_ENV, "")
    if _BOOT.fullmatch(told):
        return told[:8]
    return _BOOT_ID.read_text(encoding="ascii").strip()[:8]


def _processes() -> Iterator[Process]:
    for name in os.listdir(_PROC):
        if name.isdecimal():
            process = read_process(int(name))
            if process is not None:
                yield process


def _session_of(leader: str | None) -> int | None:
    """The session the leader made, unless its number belongs to another process or boot by now."""
    if leader is None:
        return None
    pid = leader.partition(":")[0]
    if is_of_another_boot(leader):
        return None
    current = identify(int(pid))
    return int(pid) if current is None or current == leader else None


def _tie(process: Process, engine: Engine, *, folder: str, session: int | None, marker: bytes) -> Tie | None:
    # The recorded process itself leads no session when somebody else started it (``take_over``).
    led = session is not None and session in (process.session, process.group)
    if led or process.identity == engine.leader:
        return "session"
    home = _PROC / str(process.pid)
    if engine.cgroup is not None and _is_in_cgroup(home, engine.cgroup):
        return "cgroup"
    if marker in _split(home / "environ", b"\0"):
        return "marker"
    if _below(_link(home / "exe"), folder) is not None:
        return "exe"
    if any(_is_shipped(path, folder, engine) for path in _mapped(home)):
        return "mapped"
    if any(_is_shipped(path, folder, engine) for path in _opened(home)):
        return "open"
    cwd = _link(home / "cwd")
    if any(_is_shipped(path, folder, engine) for path in _arguments(home, cwd)):
        return "argument"
    if _below(cwd, folder) is not None:
        return "cwd"
    return None


def _is_in_cgroup(home: Path, cgroup: str) -> bool:
    places = (os.fsdecode(line).split(":", 2)[-1] for line in _split(home / "cgroup", b"\n"))
    return any(place == cgroup or place.startswith(f"{cgroup}/") for place in places)


def _is_shipped(path: str, folder: str, engine: Engine) -> bool:
    relative = _below(path, folder)
    return relative is not None and relative != "" and engine.is_shipped(relative)


def _below(path: str, folder: str) -> str | None:
    """*path* relative to *folder*, "" for the folder itself, None when it lies elsewhere."""
    if path == folder:
        return ""
    return path[len(folder) + 1 :] if path.startswith(folder + os.sep) else None


def _link(path: Path) -> str:
    try:
        return os.readlink(path).removesuffix(_DELETED)
    except (*_GONE, OSError):
        return ""


def _opened(home: Path) -> Iterator[str]:
    try:
        names = os.listdir(home / "fd")
    except _GONE:
        return
    for name in names:
        yield _link(home / "fd" / name)


def _arguments(home: Path, cwd: str) -> Iterator[str]:
    """The first arguments of a process, as paths: an interpreter's script stands among them."""
    for word in _split(home / "cmdline", b"\0")[:_ARGUMENTS]:
        if word and not word.startswith(b"-"):
            # Not resolved any further: a link to the engine would have to be followed for every process.
            yield os.path.normpath(os.path.join(cwd, os.fsdecode(word)))


def _mapped(home: Path) -> Iterator[str]:
    for line in _split(home / "maps", b"\n"):
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith(b"/"):
            yield os.fsdecode(fields[5]).removesuffix(_DELETED)


def _split(path: Path, separator: bytes) -> list[bytes]:
    try:
        return path.read_bytes().split(separator)
    except _GONE:
        return []


def _command(pid: int) -> str:
    words = [os.fsdecode(word) for word in _split(_PROC / str(pid) / "cmdline", b"\0") if word]
    text = " ".join(words) or "?"
    return "".join(c if c.isprintable() else "?" for c in text)[:_COMMAND_CHARACTERS]
