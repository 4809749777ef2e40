"""/metrics of a portal with two workers: right whoever answers, and whoever was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest

from engineshed_server.db import engines
from engineshed_server.services.api_tokens import Scope
from engineshed_server.wiring import open_portal
from tests.server.exposed import Exposed
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until
from tests.server.serve.workers import Worker, connect_to_each

WORKERS = 2


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path_factory.mktemp("portal"), workers=WORKERS)
    portal.start()
    yield portal
    portal.end()


def told_by(worker: Worker) -> Exposed:
    status, body = worker.ask("GET", "/metrics")
    assert status == 200, body
    return Exposed(body)


def polls(worker: Worker) -> float:
    return told_by(worker).total("engineshed_polls_total", outcome="no-news")


def test_every_worker_tells_the_polls_of_all_also_of_one_that_was_killed(here: RunningPortal) -> None:
    engine, token = here.enrol()
    with ExitStack() as held:
        first, second = connect_to_each(here, held, count=WORKERS)
        before = polls(first)
        for worker, count in ((first, 30), (second, 12)):
            for _ in range(count):
                assert worker.poll(engine.engine, token)[0] == 200
        # At once, and to the last one: nothing waits to be written.
        assert [polls(first) - before, polls(second) - before] == [42, 42]
        os.kill(second.pid, signal.SIGKILL)
        wait_until(
            lambda: second.pid not in here.workers() and len(here.workers()) == WORKERS, "another came"
        )
        wait_until(lambda: told_by(first).value("engineshed_workers") == WORKERS, "the dead one is gone")
        assert polls(first) - before == 42
    with ExitStack() as held:
        anew = connect_to_each(here, held, count=WORKERS)
        for worker in anew:
            assert worker.poll(engine.engine, token)[0] == 200
        assert [polls(worker) - before for worker in anew] == [44, 44]


def engines_told(worker: Worker) -> float:
    return told_by(worker).total("engineshed_engines")


def test_the_fleet_is_told_once_whichever_worker_measures_it(here: RunningPortal) -> None:
    here.enrol()
    with closing(open_portal(here.settings)) as portal, portal.database.read() as session:
        count = len(engines.list_engines(session, limit=1000, after=None))
    with ExitStack() as held:
        for worker in connect_to_each(here, held, count=WORKERS):
            wait_until(partial(lambda one: engines_told(one) == count, worker), "it was measured anew")


def test_a_portal_that_is_started_again_counts_anew(here: RunningPortal) -> None:
    engine, token = here.enrol()
    with ExitStack() as held:
        worker = connect_to_each(here, held, count=WORKERS)[0]
        assert worker.poll(engine.engine, token)[0] == 200
        assert polls(worker) > 0
    here.kill()
    here.start()
    with ExitStack() as held:
        worker = connect_to_each(here, held, count=WORKERS)[0]
        assert polls(worker) == 0
        assert told_by(worker).value("engineshed_workers") == WORKERS


def test_a_command_beside_the_portal_leaves_its_counts_alone(here: RunningPortal) -> None:
    with ExitStack() as held:
        worker = connect_to_each(here, held, count=WORKERS)[0]
        before = told_by(worker).total("engineshed_http_requests_total")
        here.make_token(Scope.VIEWER)
        with closing(open_portal(here.settings)):
            found = told_by(worker)
        assert found.total("engineshed_http_requests_total") >= before > 0
        assert found.value("engineshed_workers") == WORKERS
