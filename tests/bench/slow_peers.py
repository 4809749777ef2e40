"""Hundreds of peers that send or read as slowly as they can, in one process of its own.

    python -m tests.bench.slow_peers https://127.0.0.1:8443 --ca-file ca.pem \
        --heads 500 --bodies 500 --downloads 100 --path /repo/... < token

What a peer sends is complete but for its end, of which a byte follows now and then; a reader takes 16 kB a
second of a large file. Who loses its connection comes back at once. `ready` is printed when every peer has
had its turn; the end of standard input ends them, and so does a minute.
"""

import argparse
import asyncio
import resource
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

LONGEST_S = 60.0
DRIP_S = 1.0
OPEN_S = 10.0
READ_BYTES = 16 * 1024
BODY_BYTES = 4000
AT_ONCE = 50  # connections being opened at the same time

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Target:
    """Whom the peers ask; `token` and `path` are those of a download."""

    host: str
    port: int
    context: ssl.SSLContext | None
    token: str
    path: str


class SlowPeers:
    """Keeps the connections of all peers open until it is cancelled."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._opening = asyncio.Semaphore(AT_ONCE)
        self.begun = 0
        self._bodies = 0

    async def stay(
        self, behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        """One peer: connects, behaves, and comes back when it was thrown out."""
        first = True
        while True:
            try:
                async with self._opening, asyncio.timeout(OPEN_S):
                    reader, writer = await self._open()
                if first:
                    self.begun, first = self.begun + 1, False
                try:
                    await behave(reader, writer)
                finally:
                    writer.transport.abort()
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                await asyncio.sleep(DRIP_S / 4)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        target, plain = self._target, socket.socket()
        try:
            plain.setblocking(False)
            plain.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES
            )  # the kernel shall not read ahead
            await asyncio.get_running_loop().sock_connect(plain, (target.host, target.port))
            name = None if target.context is None else target.host
            return await asyncio.open_connection(
                sock=plain, ssl=target.context, server_hostname=name, limit=READ_BYTES
            )
        except BaseException:
            plain.close()
            raise

    async def send_head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /api/v1/poll HTTP/1.1\r\nHost: slow\r\nX-Slow: ")
        await self._drip(reader, writer)

    async def send_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No token is asked for there, or only once the body is known.
        self._bodies += 1
        path = "/api/v1/enrol" if self._bodies % 2 else "/api/v1/poll"
        lines = [f"POST {path} HTTP/1.1", "Host: slow", "Content-Type: application/json"]
        writer.write("\r\n".join([*lines, f"Content-Length: {BODY_BYTES}", "", ""]).encode())
        await self._drip(reader, writer)

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b" ")
            try:
                # Not wait_for: when bytes come as the peer is cancelled, it would lose the cancellation.
                async with asyncio.timeout(DRIP_S):
                    if await reader.read(READ_BYTES) == b"":
                        return
            except TimeoutError:
                continue

    async def download(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [
            f"GET {self._target.path} HTTP/1.1",
            "Host: slow",
            f"Authorization: Bearer {self._target.token}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        while await reader.read(READ_BYTES) != b"":
            await asyncio.sleep(DRIP_S)


async def run(given: argparse.Namespace) -> None:
    """Starts all peers; returns at the end of standard input, at the latest after a minute."""
    told = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    token = (await told.readline()).decode("ascii").strip()
    parts = urlsplit(given.address)
    assert parts.hostname is not None
    assert parts.port is not None
    context = ssl.create_default_context(cafile=given.ca_file) if parts.scheme == "https" else None
    peers = SlowPeers(Target(parts.hostname, parts.port, context, token, given.path))
    kinds = [
        (given.heads, peers.send_head),
        (given.bodies, peers.send_body),
        (given.downloads, peers.download),
    ]
    tasks = [asyncio.create_task(peers.stay(behave)) for count, behave in kinds for _ in range(count)]
    try:
        async with asyncio.timeout(LONGEST_S):
            while peers.begun < len(tasks):
                await asyncio.sleep(0.05)
            print("ready", flush=True)
            await told.read()
    except TimeoutError:
        return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.slow_peers", description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--ca-file")
    parser.add_argument("--path", default="/")
    for kind in ("heads", "bodies", "downloads"):
        parser.add_argument(f"--{kind}", type=int, default=0)
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(run(given))


if __name__ == "__main__":
    main()
