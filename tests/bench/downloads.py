"""Downloads of a large package: by nginx at the portal's word, by gunicorn alone, and of a mere file.

All are asked in turn, several rounds long, over plain HTTP, by an engine that does nothing with the bytes but
to receive them. Whole files, and ranges as a cut download asks for them. Server CPU is that of all processes.
"""

import socket
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.figure import MB, Figure
from tests.bench.polls import cpu_s
from tests.deploy.front import Front, portal_behind_nginx

SIZE_BYTES = 200 * MB
PEERS = 4  # at a time
DOWNLOADS = 2  # of each peer in a round, one after the other
ROUNDS = 15
NGINX_AT_LEAST = 0.95  # of nginx with a file of its own
GUNICORN_AT_LEAST = 0.9
PIECE_BYTES = 256 * 1024
GB = 1000 * MB


@dataclass
class Way:
    """One way to the bytes: where they are, and whose CPU it takes; and what was measured."""

    name: str
    port: int
    path: str
    pids: Sequence[int]
    headers: Mapping[str, str]
    at_least: float | None = None
    bytes_per_s: list[float] = field(default_factory=list)
    cpu_s_per_gb: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """One round: all peers download at the same time."""
        received, errors = [0] * PEERS, list[BaseException]()

        def download(number: int) -> None:
            try:
                received[number] = sum(self._download() for _ in range(DOWNLOADS))
            except BaseException as err:
                errors.append(err)

        threads = [threading.Thread(target=download, args=(number,)) for number in range(PEERS)]
        before_s, began_s = sum(map(cpu_s, self.pids)), time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken_s = time.monotonic() - began_s
        if errors:
            raise errors[0]
        self.bytes_per_s.append(sum(received) / taken_s)
        self.cpu_s_per_gb.append((sum(map(cpu_s, self.pids)) - before_s) / sum(received) * GB)

    def _download(self) -> int:
        lines = [f"GET {self.path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        lines += [f"{name}: {text}" for name, text in self.headers.items()]
        with socket.create_connection(("127.0.0.1", self.port), 60) as peer:
            peer.sendall("\r\n".join([*lines, "", ""]).encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(4096)
            told, _, begun = head.partition(b"\r\n\r\n")
            status = 206 if "Range" in self.headers else 200
            assert told.startswith(f"HTTP/1.1 {status} ".encode()), told
            expected = int(told.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            left, buffer = expected - len(begun), bytearray(PIECE_BYTES)
            while left:
                count = peer.recv_into(buffer)
                assert count, "the connection ended early"
                left -= count
        return expected


def _ways(
    front: Front, path: str, *, token: str, static: tuple[int, str], more: Mapping[str, str]
) -> list[Way]:
    assert front.nginx.process is not None
    assert front.portal.process is not None
    nginx, portal = front.nginx.process.pid, front.portal.process.pid
    headers = {"Authorization": f"Bearer {token}", **more}
    port, name = static
    return [
        Way("nginx, a file of its own", port, name, [nginx], more),
        Way("nginx, at the portal's word", front.nginx.port, path, [nginx, portal], headers, NGINX_AT_LEAST),
        Way("gunicorn alone", front.portal.port, path, [portal], headers, GUNICORN_AT_LEAST),
    ]


def measure_downloads(rounds: int = ROUNDS, size_bytes: int = SIZE_BYTES) -> list[Figure]:
    """Downloads by each way in turn; speeds, CPU, and the ratios to nginx with a file of its own."""
    with socket.create_server(("127.0.0.1", 0)) as keeper:
        port = int(keeper.getsockname()[1])
    more = f"server {{ listen 127.0.0.1:{port}; location / {{ root @FOLDER@/static; }} }}"
    found = []
    with portal_behind_nginx(tls=False, more=more) as front:
        path = front.portal.publish("1.0.0", files={"lib/big.bin": bytes(size_bytes)})
        _, token = front.portal.enrol()
        (package,) = (front.portal.folder / "vendor" / "packages").glob("*.zip")
        (front.nginx.folder / "static").mkdir(mode=0o755)
        (front.nginx.folder / "static" / "package.zip").write_bytes(package.read_bytes())
        half = {"Range": f"bytes={size_bytes // 2}-"}
        for what, headers in {"whole": {}, "second half": half}.items():
            ways = _ways(front, path, token=token, static=(port, "/package.zip"), more=headers)
            for round_number in range(rounds + 1):
                first = round_number % len(
                    ways
                )  # whoever comes first finds the caches as the last one left them
                for way in ways[first:] + ways[:first]:
                    way.measure()
                    if round_number == 0:  # to warm up
                        way.bytes_per_s.clear()
                        way.cpu_s_per_gb.clear()
            found += _figures(what, ways)
    return found


def _figures(what: str, ways: Sequence[Way]) -> list[Figure]:
    found, static = [], ways[0]
    for way in ways:
        name = f"{what}, {way.name}"
        found.append(Figure(f"{name}: speed", statistics.median(way.bytes_per_s), "MB/s"))
        found.append(Figure(f"{name}: CPU a GB", statistics.median(way.cpu_s_per_gb), "ms"))
    for way in ways[1:]:
        ratios = [mine / its for mine, its in zip(way.bytes_per_s, static.bytes_per_s, strict=True)]
        name = f"{what}, {way.name} / {static.name}"
        found.append(Figure(name, statistics.median(ratios), "x", at_least=way.at_least))
    return found
