"""Where the demo plays: a temporary folder and its processes, all of it gone at the end.

The engine outlives its updater by design, and the updater's own processes may come and go: so this
process makes itself the one that orphans below it are given to (``PR_SET_CHILD_SUBREAPER``, prctl(2)).
At the end everything below it is ended, whoever had started it, then the folder is removed.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

from engineshed_server.cli.demo.descendants import adopt_orphans, end_descendants
from engineshed_server.cli.demo.pausing import pause
from engineshed_server.errors import ServerError
from engineshed_server.serve.children import dying_with_us

COMMAND_S = 60.0
SHOWN_LINES = 15
LOOK_S = 0.02
_COMPLAINT = re.compile(r"\S+ (WARNING|ERROR|CRITICAL) ")


class DemoFailed(ServerError):
    """A step did not do what it should."""

    def __init__(self, message: str) -> None:
        super().__init__("demo-failed", message)


class Stage:
    """A temporary folder, commands run in it, and what they leave running.

    with Stage() as stage:
        stage.run("engineshed-packages", "keys", "init", …)
        stage.start("engineshed-server", "run", …, log="portal.log")
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._reserved: list[socket.socket] = []

    @property
    def folder(self) -> Path:
        """The temporary folder."""
        if self._folder is None:
            raise DemoFailed("the stage is used before it is entered")
        return self._folder

    def __enter__(self) -> Self:
        adopt_orphans()
        self._folder = Path(tempfile.mkdtemp(prefix="engineshed-demo-"))
        return self

    def __exit__(self, *_: object) -> None:
        end_descendants()
        for reserved in self._reserved:
            reserved.close()
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def reserve_port(self) -> int:
        """A TCP port on loopback that nobody else is given until the end.

        The socket stays bound but does not listen: the kernel hands the port to nobody, and a server that
        sets SO_REUSEADDR, as Python's do, can still listen on it.
        """
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        self._reserved.append(reserved)
        port = reserved.getsockname()[1]
        return int(port)

    def run(self, *words: str | Path, stdin: str = "") -> str:
        """Run one of our commands to its end; returns its stdout.

        Raises:
            DemoFailed: its exit code was not 0, or it took more than a minute.
            Ended: a signal came meanwhile.
        """
        with tempfile.TemporaryFile(dir=self.folder) as said, tempfile.TemporaryFile(dir=self.folder) as talk:
            process = self._spawn(words, stdin=subprocess.PIPE, stdout=said, stderr=talk)
            if process.stdin is not None:
                with process.stdin as pipe:
                    pipe.write(stdin.encode("utf-8"))
            self._wait(process, words)
            if process.returncode != 0:
                shown = last_lines(_read(talk))
                raise DemoFailed(f"{_shown(words)} ended with {process.returncode}:\n{shown}")
            return _read(said)

    def start(self, *words: str | Path, log: str, descriptors: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start one of our commands; what it says goes into the file *log* of the folder."""
        with (self.folder / log).open("ab") as output:
            return self._spawn(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, descriptors=descriptors
            )

    def _spawn(
        self,
        words: Sequence[str | Path],
        *,
        stdin: int,
        stdout: IO[bytes],
        stderr: IO[bytes],
        descriptors: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            _command(words),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=_environment(),
            cwd=self.folder,
            process_group=0,  # Ctrl-C on the terminal is for the demo alone
            pass_fds=tuple(descriptors),
            preexec_fn=dying_with_us(),
        )

    def _wait(self, process: subprocess.Popen[bytes], words: Sequence[str | Path]) -> None:
        deadline_s = time.monotonic() + COMMAND_S
        while process.poll() is None:
            if time.monotonic() > deadline_s:
                raise DemoFailed(f"{_shown(words)} did not end within {COMMAND_S:.0f} s")
            pause(LOOK_S)

    def tail(self, log: str) -> str:
        """The last lines of the file *log*, indented; empty when there is none."""
        return last_lines(self._log(log))

    def complaints(self, log: str) -> str:
        """The last warnings and errors in the file *log*, indented; empty when there are none."""
        return last_lines(complaints_in(self._log(log)))

    def _log(self, log: str) -> str:
        path = self.folder / log
        return path.read_text("utf-8", "replace") if path.exists() else ""


def _command(words: Sequence[str | Path]) -> list[str]:
    """The command beside this Python: the demo must not play with another installation's."""
    program, *rest = (str(word) for word in words)
    return [os.path.join(sysconfig.get_path("scripts"), program), *rest]


def _environment() -> dict[str, str]:
    """The surroundings without settings of ours: the demo is the same on every machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ENGINESHED_")}


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _shown(words: Sequence[str | Path]) -> str:
    return " ".join(str(word) for word in words)


def complaints_in(text: str) -> str:
    """The warnings and errors among the log lines *text*."""
    return "\n".join(line for line in text.splitlines() if _COMPLAINT.match(line))


def last_lines(text: str) -> str:
    """The last lines of *text*, indented."""
    return "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines()[-SHOWN_LINES:])
