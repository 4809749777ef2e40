"""What a service must not be able to do, tried: by a unit or without one; what was possible becomes JSON.

Each attempt is one that an ordinary user of a host can do, so that its failure is the unit's doing.

    python3 attempts.py FOLDER-OF-ITS-OWN RESULT
"""

import ctypes
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000
MARKER = Path("/tmp/engineshed-marker")
OPEN_FOLDER = Path("/srv/open")


def write_outside() -> None:
    (OPEN_FOLDER / str(os.getuid())).write_text("x")


def write_own() -> None:
    (Path(sys.argv[1]) / "attempt").write_text("x")


def list_home() -> None:
    assert list(Path("/home").iterdir())


def see_shared_temporary_files() -> None:
    MARKER.stat()


def see_other_processes() -> None:
    assert Path("/proc/1/status").read_text()


def map_writable_and_executable() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def make_user_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def open_netlink() -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def set_group_bit() -> None:
    path = Path(sys.argv[1]) / "attempt"
    path.write_text("x")
    path.chmod(0o2755)
    assert path.stat().st_mode & 0o2000


def become_more_by_a_program() -> None:
    status = dict(line.partition(":")[::2] for line in Path("/proc/self/status").read_text().splitlines())
    assert status["NoNewPrivs"].strip() == "0"


def keep_a_capability() -> None:
    status = dict(line.partition(":")[::2] for line in Path("/proc/self/status").read_text().splitlines())
    assert any(int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"))


ATTEMPTS: tuple[Callable[[], None], ...] = (
    become_more_by_a_program,
    keep_a_capability,
    list_home,
    make_user_namespace,
    map_writable_and_executable,
    open_netlink,
    see_other_processes,
    see_shared_temporary_files,
    set_group_bit,
    write_outside,
    write_own,
)


def is_possible(attempt: Callable[[], None]) -> bool:
    """Tried in a process of its own: a new namespace, once made, would stay."""
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
        except (OSError, AssertionError):
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


if __name__ == "__main__":
    found = [attempt.__name__ for attempt in ATTEMPTS if is_possible(attempt)]
    Path(sys.argv[2]).write_text(json.dumps(found))
