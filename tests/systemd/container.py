"""A container with a systemd of its own: booted, cut off as by a power cut, booted again, spoken to.

    with Container(layers, folder) as container:
        container.boot()
        container.run("systemctl", "is-system-running")
        container.cut_power()

Its root is an overlay over the layers that only its own processes see; what must be a real file system is
bound from a folder of this host. Network (nothing but loopback), name and cgroup are its own: containers run
side by side, and the end of the one process that holds it ends everything in it.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import psutil

from tests.server.serve.processes import wait_until
from tests.systemd.layers import UMASK, Layers, overlay

BOOT_S = 60
COMMAND_S = 120
CLONE_NEWNET = 0x40000000
_LOOPBACK = "127.0.0.1"


class Container:
    """One container in *folder*; *binds* maps a folder of this host to where the container has it."""

    def __init__(self, layers: Layers, folder: Path, *, binds: Mapping[Path, str]) -> None:
        self._layers = layers
        self._folder = folder
        self._binds = binds
        self._name = f"engineshed-{secrets.token_hex(4)}"
        self._holder: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self.console = folder / "console.log"

    def __enter__(self) -> Self:
        (self._folder / "upper").mkdir()
        (self._folder / "upper").chmod(0o777 & ~UMASK)  # becomes the container's root folder
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()
        for cgroup in self._cgroups():
            for path in sorted(cgroup.rglob("*/"), reverse=True):
                path.rmdir()
            cgroup.rmdir()
        # Belongs to users of the container, and is deep.
        shutil.rmtree(self._folder, ignore_errors=True)

    def boot(self) -> float:
        """Switch it on and wait until systemd has started all it starts at boot; the seconds that took."""
        began = time.monotonic()
        words = ["systemd-nspawn", "--quiet", "--directory=merged", "--boot", "--private-network"]
        words += ["--register=no", "--keep-unit", f"--machine={self._name}", "--link-journal=no"]
        words += ["--console=pipe", *(f"--bind={host}:{inside}" for host, inside in self._binds.items())]
        with self.console.open("ab") as console:
            self._holder = subprocess.Popen(
                [*overlay(self._layers.lower, self._folder / "upper"), *words],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=self._enter_cgroups,
            )
        wait_until(self._finds_leader, "the container has a first process", patience_s=BOOT_S)
        wait_until(self._has_booted, "systemd has booted", patience_s=BOOT_S)
        return time.monotonic() - began

    def cut_power(self) -> None:
        """End every process of it at once, as a power cut does."""
        if self._holder is not None:
            # The first process takes all others of its namespace along.
            for child in psutil.Process(self._holder.pid).children(recursive=True):
                if child.is_running():
                    os.kill(child.pid, signal.SIGKILL)
            self._holder.kill()
            self._holder.wait(COMMAND_S)
            self._holder = None
            wait_until(lambda: not any(self._processes()), "nothing of the container is left")

    def try_run(self, *words: str, stdin: str = "", cwd: str = "/") -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        return subprocess.run(
            ["nsenter", f"--target={self._leader}", "--all", f"--wdns={cwd}", "--", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            umask=UMASK,
        )

    def run(self, *words: str, stdin: str = "", cwd: str = "/") -> str:
        """Run a command inside, as root, that must end well; what it printed."""
        done = self.try_run(*words, stdin=stdin, cwd=cwd)
        told = f"{done.stdout[-2000:]}{done.stderr}"
        assert done.returncode == 0, f"{words}: {done.returncode}\n{told}{self.log()}"
        return done.stdout

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        found = self.run("systemctl", "show", f"--property={','.join(names)}", unit)
        return dict(line.partition("=")[::2] for line in found.splitlines())

    def log(self) -> str:
        """The end of the container's journal."""
        return self.try_run("journalctl", "--no-pager", "--output=short-monotonic", "--lines=60").stdout

    def connect(
        self, port: int, *, timeout_s: float = 20.0, receive_bytes: int | None = None
    ) -> socket.socket:
        """A connection to that port of its loopback; *receive_bytes* bounds what is buffered here."""

        def in_its_network() -> socket.socket:
            # Of this thread alone, which ends with the call; the socket stays where it was made.
            with open(f"/proc/{self._leader}/ns/net", "rb") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns failed")
            made = socket.socket()
            if receive_bytes is not None:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            made.settimeout(timeout_s)
            try:
                made.connect((_LOOPBACK, port))
            except OSError:
                made.close()
                raise
            return made

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(in_its_network).result()

    def _enter_cgroups(self) -> None:
        for cgroup in self._cgroups():
            cgroup.mkdir(exist_ok=True)
            (cgroup / "cgroup.procs").write_text(str(os.getpid()), "ascii")

    def _cgroups(self) -> list[Path]:
        """Its own cgroup, in the hierarchies that systemd uses: of two in one each would end the other's."""
        mounts = {"": "/sys/fs/cgroup", "name=systemd": "/sys/fs/cgroup/systemd"}
        if Path("/sys/fs/cgroup/unified").is_dir():
            mounts[""] = "/sys/fs/cgroup/unified"
        found = []
        for line in Path("/proc/self/cgroup").read_text("ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in mounts and Path(mounts[controllers]).is_dir():
                found.append(Path(mounts[controllers] + path.rstrip("/")) / self._name)
        return found

    def _processes(self) -> Sequence[int]:
        found = []
        for cgroup in self._cgroups():
            for path in (cgroup, *cgroup.rglob("*/")):
                found += [int(text) for text in (path / "cgroup.procs").read_text("ascii").split()]
        return found

    def _finds_leader(self) -> bool:
        assert self._holder is not None
        assert self._holder.poll() is None, self.console.read_text("utf-8", "replace")
        for child in psutil.Process(self._holder.pid).children():
            if _is_first(child.pid):
                self._leader = child.pid
                return True
        return False

    def _has_booted(self) -> bool:
        done = self.try_run("systemctl", "is-system-running", "--wait")
        return done.stdout.strip() in ("running", "degraded")


def _is_first(pid: int) -> bool:
    """Whether that process is the first of a namespace, and has become systemd."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
        command = Path(f"/proc/{pid}/comm").read_text("utf-8")
    except OSError:
        return False
    numbers = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
    return command == "systemd\n" and numbers != [] and numbers[0][-1] == "1"
