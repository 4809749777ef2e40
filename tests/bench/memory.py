"""Memory of server and client while a large package goes through, and the size of a poll.

One scenario, with the real commands: a vendor's package is uploaded, ingested, downloaded and installed by an
updater, which then idles and polls without news. Memory is the kernel's own peak, `VmHWM`, so that nothing is
missed between two looks. (`ru_maxrss` would also count what this process had when it forked the command.)
"""

import os
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from engineshed_server.domain.actors import Actor
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.wiring import open_portal
from tests.bench.counting_proxy import CountingProxy, Exchange
from tests.bench.figure import MB, Figure
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until

LIMIT_RSS_BYTES = 150 * MB
LIMIT_IDLE_BYTES = 60 * MB
LIMIT_POLL_BYTES = 1000
STEP_BYTES = 4 * 1024 * 1024
LOOK_S = 0.02


@dataclass(frozen=True)
class Ended:
    """A command that ran to its end."""

    peak_bytes: int
    seconds: float


def run_command(words: Sequence[str | Path], *, stdin: str = "", **env: str) -> Ended:
    """Runs one of our commands; its peak of memory and its time."""
    program = os.path.join(sysconfig.get_path("scripts"), str(words[0]))
    began_s = time.monotonic()
    process = subprocess.Popen(
        [program, *map(str, words[1:])],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **env},
    )
    assert process.stdin is not None
    process.stdin.write(stdin.encode())
    process.stdin.close()
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_bytes(process.pid))
        time.sleep(LOOK_S)
    assert process.returncode == 0, f"{words} ended with {process.returncode}"
    return Ended(peak, time.monotonic() - began_s)


def peak_bytes(pid: int) -> int:
    """The most memory the process `pid` ever had resident; 0 when it has just ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def tree_pss_bytes(pids: Sequence[int]) -> int:
    """Memory of several processes, each shared page counted once."""
    total = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
    return total


class Host:
    """A host with an updater, enrolled through the counting proxy."""

    def __init__(self, here: RunningPortal, address: str) -> None:
        self.base = here.folder / "host"
        (self.base / "update").mkdir(parents=True)
        with closing(open_portal(here.settings)) as portal:
            made = create_enrol_token(portal, EnrolTerms(), actor=Actor("bench"), now=datetime.now(UTC))
        line = made.line.text().replace(here.address, address)
        settings = ['product = "sample-engine"', "poll_s = 1", f'portals = ["{address}"]', "[engine]"]
        settings += ["good_ticks = 1", "stop_timeout_s = 5"]
        (self.base / "update" / "updater.toml").write_text("\n".join(settings) + "\n")
        self.run("enrol", "--trusted-root", here.vendor.root_file, stdin=line)

    def run(self, *words: str | Path, stdin: str = "") -> Ended:
        return run_command(["engineshed-client", "--base", self.base, *words], stdin=stdin)

    def idle(self, proxy: CountingProxy) -> tuple[int, Exchange]:
        """The peak of an updater that has polled three times without news, and the last of these polls."""
        before = len(_polls(proxy))
        program = os.path.join(sysconfig.get_path("scripts"), "engineshed-client")
        process = subprocess.Popen([program, "-q", "--base", self.base, "run"])
        try:
            wait_until(lambda: len(_polls(proxy)) >= before + 4, "four polls")
            return peak_bytes(process.pid), _polls(proxy)[-2]
        finally:
            process.terminate()
            process.wait(30)

    def end_engine(self) -> None:
        """Ends what the updater started: it outlives the updater by design."""
        for process in psutil.process_iter():
            try:
                if any(str(self.base) in word for word in process.cmdline()):
                    process.kill()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


def _polls(proxy: CountingProxy) -> list[Exchange]:
    return [one for one in proxy.exchanges if one.line.startswith("POST /api/v1/poll ")]


def write_noise(path: Path, size_bytes: int) -> None:
    """Writes a file that nothing can compress."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for offset in range(0, size_bytes, STEP_BYTES):
            file.write(os.urandom(min(STEP_BYTES, size_bytes - offset)))


def measure_memory(folder: Path, size_bytes: int) -> list[Figure]:
    """Plays the scenario with a package of `size_bytes` and returns the figures."""
    here = RunningPortal(folder)
    host: Host | None = None
    try:
        here.start()
        port = urlsplit(here.address).port
        assert port is not None
        with CountingProxy(port) as proxy:
            host = Host(here, f"http://127.0.0.1:{proxy.port}")
            return _measure(here, host, proxy, size_bytes)
    finally:
        if host is not None:
            host.end_engine()
        here.end()


def _measure(here: RunningPortal, host: Host, proxy: CountingProxy, size_bytes: int) -> list[Figure]:
    source = here.folder / "vendor" / "sources" / "sample-engine-1.1.0-any" / "lib" / "big.bin"
    write_noise(source, size_bytes)
    here.vendor.release("1.1.0")
    bundle = here.vendor.bundle("1.1.0")
    pids = here.processes()
    started = tree_pss_bytes(pids)
    upload = run_command(
        ["engineshed-server", "upload", bundle, "--to", here.address, "--no-progress"],
        ENGINESHED_TOKEN=here.token,
    )
    update = host.run("update")
    idle, poll = host.idle(proxy)
    assert set(pids) <= set(here.processes()), "a process of the portal was replaced"
    after = tree_pss_bytes(pids)
    return [
        Figure(
            "server: largest process, peak RSS", max(map(peak_bytes, pids)), "MB", at_most=LIMIT_RSS_BYTES
        ),
        Figure("server: whole tree, PSS before the package", started, "MB"),
        Figure("server: whole tree, PSS after the package", after, "MB", at_most=LIMIT_RSS_BYTES),
        Figure("upload command: peak RSS", upload.peak_bytes, "MB", at_most=LIMIT_RSS_BYTES),
        Figure("upload and ingest: time", upload.seconds, "s"),
        Figure("client, update: peak RSS", update.peak_bytes, "MB", at_most=LIMIT_RSS_BYTES),
        Figure("client, update: time", update.seconds, "s"),
        Figure("client, idle: peak RSS", idle, "MB", at_most=LIMIT_IDLE_BYTES),
        Figure("no-news poll: request with headers", poll.request_bytes, "B", at_most=LIMIT_POLL_BYTES),
        Figure("no-news poll: answer with headers", poll.answer_bytes, "B", at_most=LIMIT_POLL_BYTES),
    ]
