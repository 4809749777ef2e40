"""A sample of `make crash-server`: twelve deaths of the server in an ingest, and the control."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.crash.ingest import HONEST, ROW_FIRST, WAYS, Trial
from tests.crash.row_first import gives_name_late

SEED = 20261122
POINTS = 6  # of each way


@pytest.fixture
def trial(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trial]:
    require(shutil.which("strace") is not None, "strace")
    made = Trial(tmp_path, program=getattr(request, "param", HONEST))
    yield made
    made.end()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("way", sorted(WAYS))
def test_killed_anywhere_in_an_ingest_nothing_is_half_published_and_nothing_lost(
    trial: Trial, way: str
) -> None:
    points = sorted({one.point for one in trial.calls(WAYS[way])})
    verdicts = [trial.kill(WAYS[way], point) for point in random.Random(SEED).sample(points, POINTS)]
    assert [f"{one.point}: {one.wrong}" for one in verdicts if one.wrong] == []
    assert sum(one.was_killed for one in verdicts) >= POINTS // 2


@pytest.mark.timeout(400)
@pytest.mark.parametrize("trial", [ROW_FIRST], indirect=True)
def test_a_portal_that_writes_rows_before_bytes_is_found_out(trial: Trial) -> None:
    calls = trial.calls(WAYS["put"])
    late = [one.point for one in calls if gives_name_late(one)]
    verdict = trial.kill(WAYS["put"], late[0])
    assert verdict.was_killed
    assert [fault for fault in verdict.wrong if "has a row and no bytes" in fault]
