"""Slow peers by the hundred, and a poll that must be answered all the same: by nginx, and by gunicorn alone.

Each kind of slowness is met alone and then all together. Meanwhile an engine polls, each time by a connection
of its own, as an updater does. What is asked for is the worst poll through nginx; gunicorn's is shown beside.
"""

import http.client
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.figure import MB, Figure
from tests.bench.polls import SOURCE
from tests.deploy.front import Front, portal_behind_nginx
from tests.server.api.conftest import poll_of

LIMIT_S = 0.5
PATIENCE_S = 20.0  # a poll that takes longer counts as this long
WATCH_S = 6.0
PAUSE_S = 0.05
NGINX = "nginx"
GUNICORN = "gunicorn alone"
PACKAGE_BYTES = 40 * MB
# Of heads, bodies, downloads.
KINDS: Mapping[str, tuple[int, int, int]] = {
    "nobody slow": (0, 0, 0),
    "500 slow headers": (500, 0, 0),
    "500 slow bodies": (0, 500, 0),
    "100 slow downloads": (0, 0, 100),
    "all of these": (500, 500, 100),
}


@dataclass(frozen=True)
class Polls:
    """How long the polls took that were sent while peers were slow."""

    taken_s: Sequence[float]

    @property
    def median_s(self) -> float:
        return statistics.median(self.taken_s)

    @property
    def worst_s(self) -> float:
        return max(self.taken_s)


@dataclass(frozen=True)
class Way:
    """A way to the portal: an address, and the CA that it is trusted by (None: plain HTTP)."""

    name: str
    address: str
    ca_file: Path | None


class Engine:
    """An engine that polls, each time by a new connection."""

    def __init__(self, front: Front) -> None:
        joined, self._token = front.portal.enrol()
        self._body = poll_of(joined.engine).to_bytes()

    def poll(self, way: Way) -> float:
        """Seconds until the answer was there; PATIENCE_S when none came."""
        parts = urlsplit(way.address)
        assert parts.hostname is not None
        begun_s = time.monotonic()
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
        if way.ca_file is not None:
            context = ssl.create_default_context(cafile=way.ca_file)
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=PATIENCE_S, context=context
            )
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        with closing(connection):
            try:
                connection.request("POST", "/api/v1/poll", self._body, headers)
                answer = connection.getresponse()
                assert answer.status == 200, answer.read()
                answer.read()
            except OSError:
                return PATIENCE_S
        return time.monotonic() - begun_s

    def watch(self, way: Way, seconds: float) -> Polls:
        """Polls for about that long."""
        ends_s, taken_s = time.monotonic() + seconds, []
        while time.monotonic() < ends_s:
            taken_s.append(self.poll(way))
            time.sleep(PAUSE_S)
        return Polls(taken_s)


@contextmanager
def slow_peers(way: Way, counts: tuple[int, int, int], *, token: str, path: str) -> Iterator[None]:
    """Peers that are slow as long as the block lasts, and all there when it begins."""
    words = [sys.executable, "-m", "tests.bench.slow_peers", way.address, "--path", path]
    words += [] if way.ca_file is None else ["--ca-file", str(way.ca_file)]
    for kind, count in zip(("heads", "bodies", "downloads"), counts, strict=True):
        words += [f"--{kind}", str(count)]
    peers = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=SOURCE)
    assert peers.stdin is not None
    assert peers.stdout is not None
    try:
        peers.stdin.write(f"{token}\n".encode())
        peers.stdin.flush()
        assert peers.stdout.readline() == b"ready\n", "the slow peers could not begin within a minute"
        yield
    finally:
        peers.stdin.close()
        peers.wait(30)
        peers.stdout.close()


def ways_of(front: Front) -> tuple[Way, Way]:
    return (
        Way(NGINX, front.nginx.address, front.nginx.authority.ca_file),
        Way(GUNICORN, front.portal.address, None),
    )


def watch_polls(
    kinds: Mapping[str, tuple[int, int, int]], seconds: float
) -> Iterator[tuple[str, Way, Polls]]:
    """Polls for *seconds* by each way while peers are slow in each of those kinds."""
    with portal_behind_nginx() as front:
        path = front.portal.publish("1.0.0", files={"lib/big.bin": bytes(PACKAGE_BYTES)})
        engine = Engine(front)
        for kind, counts in kinds.items():
            for way in ways_of(front):
                with slow_peers(way, counts, token=front.portal.token, path=path):
                    yield kind, way, engine.watch(way, seconds)


def measure_slow() -> list[Figure]:
    """Median and worst poll for each kind of slowness and each way."""
    found = []
    for kind, way, polls in watch_polls(KINDS, WATCH_S):
        limit = LIMIT_S if way.name == NGINX else None
        name = f"{kind}, {way.name}: poll"
        found.append(Figure(f"{name}, median of {len(polls.taken_s)}", polls.median_s, "ms"))
        found.append(Figure(f"{name}, worst", polls.worst_s, "ms", at_most=limit))
    return found
