"""Brokers for the tests: a folder, a throw-away Redis, and the RabbitMQ of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import require
from tests.server.serve.processes import wait_until

AMQP_URL = "ENGINESHED_TEST_AMQP_URL"
DEFAULT_AMQP = "amqp://guest:guest@127.0.0.1:5672//"


class Redis:
    """A Redis on a port of its own, which may go away and come back; nothing survives that."""

    def __init__(self, folder: Path) -> None:
        require(shutil.which("redis-server") is not None, "redis-server (Debian's redis-server)")
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        words += ["--appendonly", "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        wait_until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(20)
            self._process = None


@contextmanager
def broker(name: str, folder: Path) -> Iterator[str]:
    """The URL of the broker with that *name*, as ``jobs.broker`` takes it."""
    if name == "redis":
        redis = Redis(folder)
        redis.start()
        try:
            yield redis.url
        finally:
            redis.end()
    elif name == "amqp":
        url = os.environ.get(AMQP_URL, DEFAULT_AMQP)
        try:
            socket.create_connection(("127.0.0.1", 5672), timeout=2).close()
            is_there = True
        except OSError:
            is_there = AMQP_URL in os.environ
        require(is_there, f"RabbitMQ on 127.0.0.1:5672, or where {AMQP_URL} says")
        yield url
    else:
        yield ""
