"""Polls without news of ten thousand engines, beside a bare WSGI hello and a Flask JSON hello.

All three run under gunicorn's threads with two workers and are asked in turn by `wrk`, several rounds long,
so that whatever else the machine does meets them alike. Each poll comes with the token of another engine.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from engineshed_packages.ids import new_id
from engineshed_packages.protocol import Health, Poll
from engineshed_packages.versions import Version
from engineshed_server.db import engines
from engineshed_server.serve.listening import address_of, listen
from engineshed_server.wiring import open_portal
from tests.bench.figure import Figure
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until
from tests.vendor import PRODUCT

ENGINES = 10_000
ROUNDS = 5
SECONDS = 4
WARM_UP_S = 12
CONNECTIONS = 16
WORKERS = 2
THREADS = 8
AT_LEAST = 0.9  # of a Flask JSON hello
SOURCE = Path(__file__).parents[2]

# wrk's own language; the n-th request carries the n-th line of the file.
_SCRIPT = """
local polls = {}
for line in io.lines("%(polls)s") do
    local token, body = line:match("^(%%S+) (.*)$")
    local headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
    polls[#polls + 1] = wrk.format("POST", "/api/v1/poll", headers, body)
end
local next_poll = 0
request = function()
    next_poll = next_poll %% #polls + 1
    return polls[next_poll]
end
"""


@dataclass
class Contestant:
    """A server, how `wrk` asks it, and what came of it; `command` None: it answers at `address` already."""

    name: str
    address: str
    pid: int
    script: Path | None = None
    per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def ask(self, seconds: int) -> None:
        """One round: requests a second, and microseconds of the server's CPU for each."""
        before_s = cpu_s(self.pid)
        words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
        words += [] if self.script is None else ["-s", str(self.script)]
        told = subprocess.run([*words, f"{self.address}/"], capture_output=True, text=True, check=True).stdout
        assert "Non-2xx" not in told, told
        count = next(int(line.split()[0]) for line in told.splitlines() if " requests in " in line)
        self.per_s.append(
            next(float(line.split()[1]) for line in told.splitlines() if "Requests/sec" in line)
        )
        self.cpu_us.append((cpu_s(self.pid) - before_s) / count * 1e6)


def cpu_s(pid: int) -> float:
    """Seconds of CPU that the process `pid` and its living descendants have used."""
    parent = psutil.Process(pid)
    times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    return sum(one.user + one.system for one in times)


@contextmanager
def hello(name: str, application: str) -> Iterator[Contestant]:
    """Serves an application of `tests.bench.hello` as the portal is served."""
    listener = listen("127.0.0.1:0")
    words = [
        sys.executable,
        "-m",
        "gunicorn",
        "--worker-class",
        "gthread",
        "--bind",
        f"fd://{listener.fileno()}",
    ]
    words += ["--workers", str(WORKERS), "--threads", str(THREADS), "--log-level", "warning"]
    words += ["--no-control-socket", f"tests.bench.hello:{application}"]
    server = subprocess.Popen(words, pass_fds=[listener.fileno()], cwd=SOURCE)
    try:
        wait_until(lambda: len(psutil.Process(server.pid).children()) == WORKERS, f"{name} is there")
        yield Contestant(name, address_of(listener), server.pid)
    finally:
        server.terminate()
        server.wait(30)
        listener.close()


def enrol_many(here: RunningPortal, count: int, version: str) -> Path:
    """Writes `count` engines into the database, and for each a line of token and poll."""
    now = datetime.now(UTC)
    portal = open_portal(here.settings)
    names = [new_id("eng") for _ in range(count)]
    with portal.database.write() as session:
        for name in names:
            engines.add_engine(session, _engine(name, version=version, now=now))
    path = here.folder / "polls.txt"
    with path.open("w", encoding="utf-8") as file:
        for name in names:
            token = portal.access.issue(name, lifetime_s=3600, now=now)
            file.write(f"{token} {_poll(name, version=version, now=now).to_bytes().decode('utf-8')}\n")
    portal.close()
    return path


def _engine(name: str, *, version: str, now: datetime) -> engines.EngineRecord:
    return engines.EngineRecord(
        engine_id=name,
        product=PRODUCT,
        platform="linux-x86_64",
        group="default",
        channel="stable",
        host_name="host",
        secret_hash="0" * 64,
        state=engines.ENROLLED,
        version=version,
        version_at=now,
        enrolled=now,
        revoked=None,
        presence=None,
    )


def _poll(name: str, *, version: str, now: datetime) -> Poll:
    """A poll as the updater sends it between two attempts."""
    return Poll(
        engine=name,
        product=PRODUCT,
        platform="linux-x86_64",
        version=Version.parse(version),
        measured_version=version,
        state="IDLE",
        boot=os.urandom(4).hex(),
        clock=now,
        trusted_clock=now,
        root_version=1,
        timestamp_version=3,
        updater_version="0.1.0",
        health=Health.GOOD,
        seq=1,
    )


def measure_polls(folder: Path, *, rounds: int = ROUNDS, seconds: int = SECONDS) -> list[Figure]:
    """Runs the three side by side and returns the medians and their ratios."""
    here = RunningPortal(folder, workers=WORKERS)
    try:
        here.publish("1.0.0")
        polls = enrol_many(here, ENGINES, "1.0.0")
        script = folder / "polls.lua"
        script.write_text(_SCRIPT % {"polls": polls})
        process = here.start()
        with ExitStack() as stack:
            bare = stack.enter_context(hello("bare WSGI hello", "bare"))
            flask = stack.enter_context(hello("Flask JSON hello", "flask"))
            poll = Contestant("poll without news", here.address, process.pid, script)
            contestants = (bare, flask, poll)
            for one in contestants:
                one.ask(WARM_UP_S)  # both workers have then seen each token
                one.per_s.clear()
                one.cpu_us.clear()
            for _ in range(rounds):
                for one in contestants:
                    one.ask(seconds)
        return _figures(contestants, flask=flask, poll=poll)
    finally:
        here.end()


def _figures(contestants: Sequence[Contestant], *, flask: Contestant, poll: Contestant) -> list[Figure]:
    found = []
    for one in contestants:
        found.append(Figure(f"{one.name}: requests a second", statistics.median(one.per_s), "/s"))
        found.append(Figure(f"{one.name}: server CPU a request", statistics.median(one.cpu_us) / 1e6, "us"))
    rates = [mine / theirs for mine, theirs in zip(poll.per_s, flask.per_s, strict=True)]
    found.append(
        Figure("poll / Flask JSON hello, requests a second", statistics.median(rates), "x", at_least=AT_LEAST)
    )
    return found
