"""Several workers in earnest, each by a connection that is kept.

Which worker answers is up to the kernel. So connections are opened and kept until each worker holds one; the
sockets in ``/proc`` tell whose they are.
"""

from __future__ import annotations

import http.client
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import psutil

from engineshed_packages.protocol import Poll
from engineshed_packages.versions import Version
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until
from tests.vendor import PRODUCT


class Worker:
    """One worker of the portal, by a connection to it that is kept."""

    def __init__(self, pid: int, connection: http.client.HTTPConnection) -> None:
        self.pid = pid
        self._connection = connection

    def ask(self, method: str, path: str, body: bytes = b"", token: str | None = None) -> tuple[int, bytes]:
        """Status and body of the answer."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def poll(self, engine: str, token: str) -> tuple[int, bytes]:
        """An idle engine's poll of version 1.0.0."""
        poll = Poll(
            engine=engine,
            product=PRODUCT,
            platform="linux-x86_64",
            version=Version.parse("1.0.0"),
            state="IDLE",
            boot="boot",
            clock=datetime.now(UTC),
            updater_version="0.1.0",
        )
        return self.ask("POST", "/api/v1/poll", poll.to_bytes(), token)


def holder_of(here: RunningPortal, local_port: int) -> int | None:
    """The process of the portal that holds the other end of a connection."""
    for pid in here.processes():
        for one in psutil.Process(pid).net_connections("tcp"):
            if one.raddr and one.raddr.port == local_port and one.status == psutil.CONN_ESTABLISHED:
                return pid
    return None


def connect_to_each(here: RunningPortal, held: ExitStack, *, count: int) -> list[Worker]:
    """A kept connection to each of *count* workers."""
    found: dict[int, Worker] = {}

    def one_more() -> bool:
        connection = held.enter_context(closing(here.connect()))
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        pid = holder_of(here, connection.sock.getsockname()[1])
        if pid is not None and pid not in found:
            found[pid] = Worker(pid, connection)
        return len(found) == count

    wait_until(one_more, "each worker holds a connection")
    return list(found.values())
