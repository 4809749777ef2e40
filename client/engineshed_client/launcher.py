"""Starts the current updater, or the previous one when the current one does not come up. Stands alone.

Installed once and never updated, so it imports nothing of ours and knows only these files of
``<base>/update/updater``:

    current.txt, previous.txt   each names a version; replaced by rename, by the updater
    <version>/                  holds ``engineshed-client.pyz`` or ``__main__.py``
    starts.txt                  the current version and its starts since it last said, by removing this
                                file, that it came up

The count is on disk before the updater starts. After three starts of the current version in vain the
previous one is started. Without current.txt the installed distribution runs.

    python launcher.py --base BASE run
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

MAX_STARTS = 3
INSTALLED = ("-m", "engineshed_client.cli")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!-]{0,63}", re.ASCII)


def main(arguments: list[str]) -> int:
    """Start an updater with *arguments*; its exit code, where the updater does not take this process over."""
    base = find_base(arguments)
    program = INSTALLED if base is None else choose(base / "update" / "updater")
    command = [sys.executable, *program, *arguments]
    if sys.platform != "win32":
        # The updater becomes this process: signals, exit code and end need no passing on.
        os.execv(command[0], command)
    # Windows has no exec; what a console or a service sends reaches the child by itself.
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the updater got it as well and decides when to end


def find_base(arguments: list[str]) -> Path | None:
    """The base as the updater itself finds it: ``--base BASE``, ``--base=BASE`` or the environment."""
    for at, argument in enumerate(arguments):
        if argument == "--base" and at + 1 < len(arguments):
            return Path(arguments[at + 1])
        if argument.startswith("--base="):
            return Path(argument.removeprefix("--base="))
    found = os.environ.get("ENGINESHED_BASE")
    return Path(found) if found else None


def choose(folder: Path) -> tuple[str, ...]:
    """What to start from *folder*, its start counted on disk."""
    current, previous = read_program(folder, "current.txt"), read_program(folder, "previous.txt")
    if current is None and previous is None:
        return INSTALLED
    if current is not None and (count_start(folder) <= MAX_STARTS or previous is None):
        return current
    return previous or INSTALLED


def read_program(folder: Path, name: str) -> tuple[str, ...] | None:
    """The program that the file *name* points to; None when it points to nothing that can be started."""
    version = read_text(folder / name)
    if version is None or not _VERSION.fullmatch(version):
        return None
    for program in (folder / version / "engineshed-client.pyz", folder / version / "__main__.py"):
        if program.is_file():
            return (str(program),)
    return None


def read_text(path: Path) -> str | None:
    """The first line of a small file; None when it is not there."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline(200).strip()
    except FileNotFoundError:
        return None


def count_start(folder: Path) -> int:
    """Count one more start of the current version, durably; returns the count.

    A disk that takes no file must not keep the updater from starting: then nothing is counted.
    """
    version = read_text(folder / "current.txt") or ""
    counted, _, number = (read_text(folder / "starts.txt") or "").partition(" ")
    count = 1 + (int(number) if counted == version and number.isdecimal() else 0)
    try:
        temporary = folder / ".starts.txt.tmp"
        with open(temporary, "wb", buffering=0) as file:
            file.write(f"{version} {count}\n".encode("ascii", "replace"))
            os.fsync(file.fileno())
        os.replace(temporary, folder / "starts.txt")
    except OSError as err:
        sys.stderr.write(f"launcher: the start is not counted: {err}\n")
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
