"""Counts of one process, and of several through their folder."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engineshed_packages.locks import exclusive
from engineshed_server.domain.metrics import COUNTERS, GAUGES, INGESTS, POLLS, Meters
from engineshed_server.errors import TryLater
from engineshed_server.meters import shared
from engineshed_server.meters.counts import Counts, SharedCounts
from tests.server.exposed import Exposed
from tests.small_disk import small_disk

# Counts three and dies without a word.
_KILLED = """
import os, signal, sys
from pathlib import Path
from engineshed_server.domain.metrics import POLLS
from engineshed_server.meters.counts import SharedCounts
counts = SharedCounts(Path(sys.argv[1]))
counts.count(POLLS, "no-news", "up-to-date", by=3)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "meters"
    shared.empty(path)
    return path


Join = Callable[[Path], SharedCounts]


@pytest.fixture
def join() -> Iterator[Join]:
    """Makes counts that are closed at the end."""
    with ExitStack() as stack:

        def join(folder: Path) -> SharedCounts:
            counts = SharedCounts(folder)
            stack.callback(counts.close)
            return counts

        yield join


def polls(meters: Meters) -> float:
    return Exposed(meters.expose(())).total("engineshed_polls_total")


def killed(folder: Path) -> int:
    """A process that has counted three polls and was killed; its pid."""
    process = subprocess.Popen([sys.executable, "-c", _KILLED, str(folder)])
    process.wait()
    return process.pid


def test_what_is_counted_is_exposed_by_its_labels() -> None:
    counts = Counts()
    counts.count(POLLS, "order", "offer")
    counts.count(POLLS, "order", "offer", by=2)
    exposed = Exposed(counts.expose(()))
    assert exposed.value("engineshed_polls_total", outcome="order", code="offer") == 3


def test_every_metric_is_named_with_its_help_before_anything_was_counted() -> None:
    families = Exposed(Counts().expose(())).families
    named = {
        name.removesuffix("_total"): about for name, about in ((one.name, one.about) for one in COUNTERS)
    }
    named |= {gauge.name: gauge.about for gauge in GAUGES}
    assert {name: family.documentation for name, family in families.items()} == named


def test_outcomes_that_never_came_are_told_as_zero() -> None:
    assert Exposed(Counts().expose(())).value("engineshed_attempts_total", outcome="BROKEN") == 0


def test_threads_that_count_at_once_lose_nothing(folder: Path, join: Join) -> None:
    counts = join(folder)

    def count() -> None:
        for _ in range(5_000):
            counts.count(POLLS, "no-news", "up-to-date")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert polls(counts) == 20_000


def test_each_process_tells_what_all_have_counted(folder: Path, join: Join) -> None:
    one, other = join(folder), join(folder)
    one.count(POLLS, "no-news", "up-to-date")
    other.count(POLLS, "no-news", "up-to-date")
    assert [polls(one), polls(other)] == [2, 2]
    assert Exposed(one.expose(())).value("engineshed_workers") == 2


def test_what_a_killed_process_has_counted_stays(folder: Path, join: Join) -> None:
    counts = join(folder)
    killed(folder)
    assert polls(counts) == 3


def test_processes_that_ended_are_kept_in_one_file_and_are_no_workers(folder: Path, join: Join) -> None:
    counts = join(folder)
    for ended in range(1, 4):
        shared.take_in_ended(folder, killed(folder))
        exposed = Exposed(counts.expose(()))
        assert exposed.total("engineshed_polls_total") == 3 * ended
        assert exposed.value("engineshed_workers") == 1
    assert len(list(folder.glob("*.db"))) == 2


def test_to_take_in_a_process_twice_counts_it_once(folder: Path, join: Join) -> None:
    counts = join(folder)
    pid = killed(folder)
    shared.take_in_ended(folder, pid)
    shared.take_in_ended(folder, pid)
    assert polls(counts) == 3


def test_a_new_start_forgets(folder: Path, join: Join) -> None:
    killed(folder)
    shared.empty(folder)
    assert polls(join(folder)) == 0


def test_peculiar_labels_come_through(folder: Path, join: Join) -> None:
    counts = join(folder)
    counts.count(INGESTS, 'a "b" \\ c\nd')
    assert Exposed(counts.expose(())).value("engineshed_ingests_total", code='a "b" \\ c\nd') == 1


def test_the_number_of_series_is_bounded_and_nothing_is_lost(folder: Path, join: Join) -> None:
    counts = join(folder)
    for number in range(shared.MAX_SERIES + 500):
        counts.count(POLLS, "refused", f"a-code-that-is-somewhat-longer-than-most-of-ours-{number}")
    exposed = Exposed(counts.expose(()))
    assert exposed.total("engineshed_polls_total") == shared.MAX_SERIES + 500
    assert exposed.value("engineshed_polls_total", outcome="other", code="other") == 500
    assert {path.stat().st_size for path in folder.glob("*.db")} == {shared.FILE_BYTES}


def test_somebody_else_at_the_counts_is_waited_for_but_not_for_ever(
    folder: Path, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = join(folder)
    monkeypatch.setattr(shared, "LOCK_WAIT_S", 0.0)
    with exclusive(folder / "lock", wait_s=0), pytest.raises(TryLater, match="ask again"):
        counts.expose(())
    assert polls(counts) == 0


def test_on_a_full_disk_a_process_counts_for_itself_and_lives(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_000_000) as disk, ExitStack() as stack:
        folder = disk.folder / "meters"
        shared.empty(folder)
        shares = SharedCounts(folder)
        stack.callback(shares.close)
        disk.fill(leaving_bytes=8192)
        alone = SharedCounts(folder)
        for counts in (shares, alone):
            for number in range(900):
                counts.count(POLLS, "refused", f"code-{number}")
        assert [polls(shares), polls(alone)] == [900, 1800]
