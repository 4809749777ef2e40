"""Starts the current updater, or the one before it when the current one does not come up. Stands alone.

Installed once and never updated, so it imports nothing of ours and knows only these files of
``<base>/update/updater``:

    current.txt, previous.txt   each names a version; replaced by rename, by the updater
    <version>/                  holds ``engineshed-client.pyz`` or ``__main__.py``
    starts.txt                  a version and how often it was started since it last said, by removing
                                this file, that it came up; a version that is new begins with 0

Only ``run`` is counted, on disk before the updater starts. After three starts of the current version in vain
the previous one is started, and without a previous one the installed distribution, where there is one. A
start that hangs is ended by an alarm, which the updater turns off. ``recover`` goes on with the next one
when an updater fails at it: an engine's boot must not hang on an updater that is new.

    python -m engineshed_client.launcher --base BASE run

To ``run``, and to nothing else, ENGINESHED_LAUNCHER names this file. An updater that has replaced
current.txt starts it again, and on Windows, where it is still there, ends with START_AGAIN.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

MAX_STARTS = 3
START_S = 600  # until the updater has heard from its portal for the first time
START_AGAIN = 88
LAUNCHER = "ENGINESHED_LAUNCHER"
INSTALLED = ("-m", "engineshed_client.cli")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!-]{0,63}", re.ASCII)

Program = tuple[str, ...]


def main(arguments: list[str]) -> int:
    """Start an updater with *arguments*; its exit code, where the updater does not take this process over."""
    base = find_base(arguments)
    folder = None if base is None else base / "update" / "updater"
    command = find_command(arguments)
    if command == "recover":
        return recover(programs(folder), arguments)
    if command != "run":
        return start(programs(folder)[0], arguments, dict(os.environ))
    environment = {**os.environ, LAUNCHER: os.path.abspath(__file__)}
    while True:
        if sys.platform != "win32":
            signal.alarm(START_S)
        code = start(choose(folder), arguments, environment)
        if code != START_AGAIN:
            return code


def find_base(arguments: list[str]) -> Path | None:
    """The base as the updater itself finds it: ``--base BASE``, ``--base=BASE`` or the environment."""
    for at, argument in enumerate(arguments):
        if argument == "--base" and at + 1 < len(arguments):
            return Path(arguments[at + 1])
        if argument.startswith("--base="):
            return Path(argument.removeprefix("--base="))
    found = os.environ.get("ENGINESHED_BASE")
    return Path(found) if found else None


def find_command(arguments: list[str]) -> str | None:
    """The first word that is no option and no value of ``--base`` or ``--set``."""
    values = {at + 1 for at, argument in enumerate(arguments) if argument in ("--base", "--set")}
    words = (word for at, word in enumerate(arguments) if at not in values and not word.startswith("-"))
    return next(words, None)


def start(program: Program, arguments: list[str], environment: dict[str, str]) -> int:
    """Become the updater; where there is no such thing, its exit code."""
    command = [sys.executable, *program, *arguments]
    if sys.platform != "win32":
        # The updater becomes this process: signals, exit code and end need no passing on.
        os.execve(command[0], command, environment)
    # Windows has no exec; what a console or a service sends reaches the child by itself.
    child = subprocess.Popen(command, env=environment)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the updater got it as well and decides when to end


def recover(candidates: list[Program], arguments: list[str]) -> int:
    """Recover by the first updater that can; the exit code of the last one that was tried."""
    code = 1
    for program in candidates:
        code = subprocess.call([sys.executable, *program, *arguments])
        if code == 0:
            break
    return code


def choose(folder: Path | None) -> Program:
    """What to run from *folder*, its start counted on disk."""
    if folder is None or read_program(folder, "current.txt") is None:
        return programs(folder)[0]
    first, *others = programs(folder)
    return first if may_start(folder) or not others else others[0]


def programs(folder: Path | None) -> list[Program]:
    """The updaters of *folder* that can be started: current, previous, installed; at least one."""
    names = () if folder is None else ("current.txt", "previous.txt")
    found = [read_program(folder, name) for name in names if folder is not None]
    own = list(dict.fromkeys(program for program in found if program is not None))
    return [*own, INSTALLED] if not own or find_spec("engineshed_client") is not None else own


def read_program(folder: Path, name: str) -> Program | None:
    """The program that the file *name* points to; None when it points to nothing that can be started."""
    version = read_text(folder / name)
    if version is None or not _VERSION.fullmatch(version):
        return None
    file = folder / version / "engineshed-client.pyz"
    if os.path.isfile(file):
        return ("-I", "-S", str(file))
    if os.path.isfile(folder / version / "__main__.py"):
        return ("-I", "-S", str(folder / version))
    return None


def read_text(path: Path) -> str | None:
    """The first line of a small file; None when there is none to be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline(200).strip()
    except FileNotFoundError:
        return None
    except OSError as err:
        sys.stderr.write(f"launcher: {err}\n")  # an updater is started all the same
        return None


def may_start(folder: Path) -> bool:
    """Count one more start of the current version, durably; whether it may be started once more.

    A disk that takes no count must not keep the host from having an updater, nor start for ever a version
    that never came up: where nothing can be counted, the version that came up the last time may.
    """
    version = read_text(folder / "current.txt") or ""
    counted, _, number = (read_text(folder / "starts.txt") or "").partition(" ")
    on_trial = counted == version
    count = 1 + (int(number) if on_trial and number.isdecimal() else 0)
    try:
        temporary = folder / ".starts.txt.tmp"
        with open(temporary, "wb", buffering=0) as file:
            file.write(f"{version} {count}\n".encode("ascii", "replace"))
            os.fsync(file.fileno())
        os.replace(temporary, folder / "starts.txt")
    except OSError as err:
        sys.stderr.write(f"launcher: the start is not counted: {err}\n")
        return not on_trial
    return count <= MAX_STARTS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
