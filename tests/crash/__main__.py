"""`make crash-server`: the server killed at every mutating system call of an ingest; exit code 1 for a fault.

Both ways of uploading are played, and a portal that is wrong on purpose, which must be found out.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.crash.ingest import HONEST, ROW_FIRST, WAYS, Trial
from tests.crash.points import Point, Seen
from tests.crash.row_first import gives_name_late

CONTROL = "row-first"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.crash", description=__doc__)
    parser.add_argument("--sample", type=int, help="only so many points of each way, chosen by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[*WAYS, CONTROL], help="one way alone, or the portal that is wrong")
    chosen = parser.parse_args()
    played = [*WAYS, CONTROL] if chosen.only is None else [chosen.only]
    wrong = sum(_play(way, chosen.sample, chosen.seed) for way in played if way != CONTROL)
    if CONTROL not in played:
        return 1 if wrong else 0
    caught = _play("put", chosen.sample, chosen.seed, program=ROW_FIRST)
    print(f"{CONTROL}: found out at {caught} points" if caught else f"{CONTROL}: NOT FOUND OUT")
    return 0 if caught and not wrong else 1


def _play(way: str, sample: int | None, seed: int, *, program: tuple[str, ...] = HONEST) -> int:
    """How many points left something wrong."""
    began_s, killed, wrong = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="engineshed-crash-") as folder:
        trial = Trial(Path(folder), program=program)
        try:
            points = _choose(trial.calls(WAYS[way]), sample, seed)
            for point in points:
                verdict = trial.kill(WAYS[way], point)
                killed += verdict.was_killed
                wrong += bool(verdict.wrong)
                for fault in verdict.wrong if program is HONEST else ():
                    print(f"{way} {point}: {fault}", flush=True)
        finally:
            trial.end()
    seconds = time.monotonic() - began_s
    name = CONTROL if program is ROW_FIRST else way
    print(
        f"{name}: {len(points)} points, {killed} killed there, {wrong} with faults, {seconds:.0f} s",
        flush=True,
    )
    return wrong


def _choose(calls: Sequence[Seen], sample: int | None, seed: int) -> list[Point]:
    """All points, or some: the few where the portal that is wrong shows it, and others by chance."""
    points = sorted({one.point for one in calls})
    if sample is None:
        return points
    telling = sorted({one.point for one in calls if gives_name_late(one)})
    others = [point for point in points if point not in telling]
    random.Random(seed).shuffle(others)
    return [*telling, *others][:sample]


sys.exit(main())
