"""Workers and a beat as processes, by each broker: nothing is lost, nothing is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engineshed_packages.jsontext import Json
from engineshed_server.db import jobs
from engineshed_server.jobs.app import make_app
from engineshed_server.jobs.bell import CeleryBell
from engineshed_server.services.jobs.requesting import cancel_job, request_job, show_job
from engineshed_server.services.jobs.ringing import ring_again
from engineshed_server.settings import load_settings
from tests.server.jobs.brokers import Redis, broker
from tests.server.jobs.playing import KINDS
from tests.server.portals import ACTOR, House, MakePortal
from tests.server.serve.processes import wait_until

pytestmark = pytest.mark.timeout(240)


class Workshop:
    """A portal, and the processes that work for it."""

    def __init__(self, house: House, folder: Path, url: str) -> None:
        self.house = house
        self.folder = folder
        self._config = folder / "portal.toml"
        self._config.write_text(
            f'[portal]\ndata_dir = "{folder / "data"}"\n[jobs]\nbroker = "{url}"\nworkers = 2\n'
        )
        self.bell = CeleryBell(make_app(load_settings(self._config, {})), KINDS)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, role: str = "worker") -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.server.jobs.playing", role, str(self._config)],
                stdout=log,
                stderr=log,
                process_group=0,
            )
        self._processes.append(process)
        return process

    def ask(self, kind: str, **arguments: Json) -> str:
        return request_job(
            self.house.portal,
            kind,
            kinds=KINDS,
            bell=self.bell,
            actor=ACTOR,
            now=datetime.now(UTC),
            arguments=arguments,
        ).job_id

    def ring_again(self) -> int:
        return ring_again(self.house.portal, self.bell, now=datetime.now(UTC))

    def state(self, job_id: str) -> str:
        return show_job(self.house.portal, job_id).job.state

    def states(self) -> Counter[str]:
        with self.house.portal.database.read() as session:
            return Counter(job.state for job in jobs.list_jobs(session, limit=1000))

    @property
    def effects(self) -> list[str]:
        path = self.folder / "effects"
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        for process in self._processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(20)


@pytest.fixture
def workshop(request: pytest.FixtureRequest, make_portal: MakePortal, tmp_path: Path) -> Iterator[Workshop]:
    with broker(getattr(request, "param", "folder"), tmp_path) as url:
        shop = Workshop(make_portal(), tmp_path, url)
        yield shop
        shop.close()


@pytest.mark.parametrize("workshop", ["folder", "redis", "amqp"], indirect=True)
def test_many_jobs_over_two_workers_are_each_done_once(workshop: Workshop) -> None:
    for _ in range(2):
        workshop.start()
    lines = [f"line {number}" for number in range(300)]
    for line in lines:
        workshop.ask("note", line=line)
    wait_until(lambda: workshop.states() == {"done": 300}, "all jobs are done", patience_s=120)
    assert Counter(workshop.effects) == dict.fromkeys(lines, 1)


def test_a_job_rung_for_many_times_is_done_once(workshop: Workshop) -> None:
    job_id = workshop.ask("note", line="once")
    for _ in range(20):
        workshop.ring_again()
    last = workshop.ask("note", line="last")
    workshop.start()
    wait_until(lambda: workshop.state(last) == "done", "the last one is done")
    assert (workshop.state(job_id), sorted(workshop.effects)) == ("done", ["last", "once"])


@pytest.mark.parametrize("workshop", ["folder", "redis"], indirect=True)
def test_the_job_of_a_killed_worker_is_done_by_another(workshop: Workshop) -> None:
    doomed = workshop.start()
    job_id = workshop.ask("wait")
    wait_until(lambda: workshop.effects == ["begun"], "the job runs")
    doomed.send_signal(signal.SIGKILL)
    doomed.wait(20)
    workshop.start()
    workshop.start("beat")  # rings again once the lease has run out
    wait_until(lambda: workshop.effects == ["begun", "begun"], "another worker has begun it")
    (workshop.folder / "go").touch()
    wait_until(lambda: workshop.state(job_id) == "done", "it is done")
    assert workshop.effects == ["begun", "begun", "ended"]  # the killed one's process died with it
    assert show_job(workshop.house.portal, job_id).job.attempt == 2


def test_while_the_broker_is_away_nothing_is_lost(make_portal: MakePortal, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    redis.start()
    workshop = Workshop(make_portal(), tmp_path, redis.url)
    try:
        workshop.start()
        workshop.start("beat")
        first = workshop.ask("note", line="before")
        wait_until(lambda: workshop.state(first) == "done", "the broker works")
        redis.end()
        asked = [workshop.ask("note", line=f"without {number}") for number in range(3)]
        assert {workshop.state(job_id) for job_id in asked} == {"waiting"}
        redis.start()
        wait_until(lambda: workshop.states() == {"done": 4}, "what was asked for meanwhile is done")
    finally:
        redis.end()
        workshop.close()
    assert sorted(workshop.effects) == ["before", "without 0", "without 1", "without 2"]


def test_a_job_that_takes_too_long_is_ended_and_says_so(workshop: Workshop) -> None:
    workshop.start()
    warm = workshop.ask("note", line="warm")
    wait_until(lambda: workshop.state(warm) == "done", "the worker works")
    job_id = workshop.ask("endless")
    wait_until(lambda: workshop.state(job_id) == "failed", "its time is over")
    assert show_job(workshop.house.portal, job_id).job.error_code == "job-too-long"
    after = workshop.ask("note", line="next")
    wait_until(lambda: workshop.state(after) == "done", "the worker goes on")


def test_a_job_that_does_not_hear_the_limit_is_killed_and_given_up(workshop: Workshop) -> None:
    workshop.start()
    workshop.start("beat")
    job_id = workshop.ask("deaf")
    wait_until(lambda: workshop.state(job_id) == "failed", "it is given up")
    assert show_job(workshop.house.portal, job_id).job.error_code == "job-given-up"
    assert workshop.effects == ["begun", "told"]


def test_a_running_job_is_cancelled_within_the_turn_of_its_lease(workshop: Workshop) -> None:
    workshop.start()
    job_id = workshop.ask("wait")
    wait_until(lambda: workshop.effects == ["begun"], "the job runs")
    cancel_job(workshop.house.portal, job_id, actor=ACTOR, now=datetime.now(UTC))
    wait_until(lambda: workshop.state(job_id) == "cancelled", "it is cancelled")
    assert workshop.effects == ["begun"]


def test_what_a_killed_worker_left_on_disk_is_gone_at_the_next_start(workshop: Workshop) -> None:
    scratch = workshop.house.portal.folders.scratch
    doomed = workshop.start()
    wait_until(lambda: bool(list(scratch.glob("*/*/*"))), "a worker has its scratch")
    os.killpg(doomed.pid, signal.SIGKILL)
    doomed.wait(20)
    other = workshop.start()
    wait_until(lambda: [one.name for one in scratch.glob("*/*")] == [str(other.pid)], "only its own is left")
