"""A bundle of 200 MB on its way into a portal, beside `cp`, `sha256sum` and `sha1sum` of the same file.

What is compared is CPU: of the portal's processes from the first byte of the upload to the answer that names
the published release, and of the three commands. Each round has a release of its own, or there would be
nothing to do.
"""

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figure import MB, Figure
from tests.bench.memory import run_command, write_noise
from tests.bench.polls import cpu_s
from tests.server.running import RunningPortal

ROUNDS = 3
AT_MOST = 0.7  # of the CPU of the three commands


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU and of waiting."""

    cpu_s: float
    wall_s: float


def measure_ingest(folder: Path, size_bytes: int = 200 * MB, *, rounds: int = ROUNDS) -> list[Figure]:
    """Uploads a release a round; the medians and their ratio."""
    here = RunningPortal(folder, workers=2)
    try:
        pid = here.start().pid
        ours: list[Cost] = []
        theirs: list[Cost] = []
        for number in range(rounds):
            bundle = _bundle(here, f"1.{number}.0", size_bytes)
            theirs.append(_commands(bundle, folder / "copy"))
            ours.append(_ingest(here, pid, bundle))
            bundle.unlink()
        return _figures(ours, theirs)
    finally:
        here.end()


def _bundle(here: RunningPortal, version: str, size_bytes: int) -> Path:
    source = here.folder / "vendor" / "sources" / f"sample-engine-{version}-any" / "lib" / "big.bin"
    write_noise(source, size_bytes)
    here.vendor.release(version)
    return here.vendor.bundle(version)


def _commands(bundle: Path, copy: Path) -> Cost:
    """What `cp`, `sha256sum` and `sha1sum` cost, one after the other."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    commands: list[list[str | Path]] = [["cp", bundle, copy], ["sha256sum", bundle], ["sha1sum", bundle]]
    for words in commands:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    copy.unlink()
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(used_s, time.monotonic() - began_s)


def _ingest(here: RunningPortal, pid: int, bundle: Path) -> Cost:
    os.sync()  # what the commands left to be written does not count here
    before_s = cpu_s(pid)
    words: Sequence[str | Path] = ["engineshed-server", "upload", bundle, "--to", here.address]
    ended = run_command([*words, "--no-progress"], ENGINESHED_TOKEN=here.token)
    return Cost(cpu_s(pid) - before_s, ended.seconds)


def _figures(ours: Sequence[Cost], theirs: Sequence[Cost]) -> list[Figure]:
    ratios = [mine.cpu_s / other.cpu_s for mine, other in zip(ours, theirs, strict=True)]
    return [
        Figure("cp, sha256sum, sha1sum: CPU", statistics.median(one.cpu_s for one in theirs), "ms"),
        Figure("cp, sha256sum, sha1sum: time", statistics.median(one.wall_s for one in theirs), "ms"),
        Figure("upload and ingest: server CPU", statistics.median(one.cpu_s for one in ours), "ms"),
        Figure("upload and ingest: time", statistics.median(one.wall_s for one in ours), "ms"),
        Figure("ingest / the commands, CPU", statistics.median(ratios), "x", at_most=AT_MOST),
    ]
