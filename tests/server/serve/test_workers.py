"""Several workers in earnest: what an admin decides is in force in each of them within one second."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import pytest

from engineshed_packages.enrolment import EnrolAnswer, EnrolRequest, TokenAnswer, TokenRequest
from engineshed_packages.protocol import PollAnswer
from engineshed_packages.versions import Version
from engineshed_server.domain.actors import Actor
from engineshed_server.services.approval import approve_engines
from engineshed_server.services.engines import revoke_engine
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.guesses import FREE_FAILURES
from engineshed_server.services.portal import Portal
from engineshed_server.wiring import open_portal
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until
from tests.server.serve.workers import Worker, connect_to_each
from tests.vendor import PRODUCT

WORKERS = 3
IN_FORCE_S = 1.0
ACTOR = Actor("test")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    portal = RunningPortal(tmp_path_factory.mktemp("portal"), workers=WORKERS)
    portal.start()
    yield portal
    portal.end()


@pytest.fixture(scope="module")
def package(here: RunningPortal) -> str:
    """Where the package of a release is that fits every engine here."""
    path = here.publish("1.1.0")
    wait_until(lambda: here.get(path, Authorization=f"Bearer {here.token}")[0] == 200, "it is served")
    return path


@pytest.fixture
def workers(here: RunningPortal) -> Iterator[list[Worker]]:
    with ExitStack() as held:
        yield connect_to_each(here, held, count=WORKERS)


@pytest.fixture
def admin(here: RunningPortal) -> Iterator[Portal]:
    """The admin's command line: another process as far as the workers are concerned."""
    with closing(open_portal(here.settings)) as portal:
        yield portal


def join(admin: Portal, worker: Worker, terms: EnrolTerms | None = None) -> EnrolAnswer:
    made = create_enrol_token(admin, terms or EnrolTerms(), actor=ACTOR, now=datetime.now(UTC))
    wanted = EnrolRequest(
        token=made.line.token,
        product=PRODUCT,
        platform="linux-x86_64",
        version=Version.parse("1.0.0"),
        host_name="host-1",
        updater_version="0.1.0",
    )
    return EnrolAnswer.from_bytes(worker.ask("POST", "/api/v1/enrol", wanted.to_bytes())[1])


def access_token(worker: Worker, engine: EnrolAnswer) -> str:
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    return TokenAnswer.from_bytes(worker.ask("POST", "/api/v1/token", request.to_bytes())[1]).access_token


def in_force(workers: list[Worker], is_so: Callable[[Worker], bool], *, since: float) -> None:
    """Fails unless it is so in every worker within a second."""
    for worker in workers:
        while not is_so(worker):
            took_s = time.monotonic() - since
            assert took_s < IN_FORCE_S, f"worker {worker.pid} has not heard of it after {took_s:.2f} s"
            time.sleep(0.02)


def code_of(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])["code"]


def test_a_revocation_is_in_force_in_every_worker_within_a_second(
    package: str, workers: list[Worker], admin: Portal
) -> None:
    engine = join(admin, workers[0])
    token = access_token(workers[0], engine)
    for worker in workers:
        assert worker.poll(engine.engine, token)[0] == 200
        assert worker.ask("HEAD", package, token=token)[0] == 200
    revoke_engine(admin, engine.engine, actor=ACTOR, now=datetime.now(UTC))
    since = time.monotonic()
    in_force(workers, lambda worker: worker.poll(engine.engine, token)[0] == 401, since=since)
    secret = TokenRequest(engine=engine.engine, secret=engine.secret).to_bytes()
    for worker in workers:
        for answer in (
            worker.poll(engine.engine, token),
            worker.ask("GET", package, token=token),
            worker.ask("POST", "/api/v1/reports", b"{}", token),
            worker.ask("POST", "/api/v1/token", secret),
        ):
            assert code_of(answer) == (401, "engine-revoked")


def test_an_approval_is_in_force_in_every_worker_within_a_second(
    package: str, workers: list[Worker], admin: Portal
) -> None:
    engine = join(admin, workers[0], EnrolTerms(needs_approval=True))
    token = access_token(workers[1], engine)
    for worker in workers:  # at once: also by those that have not heard of the engine yet
        assert code_of(worker.ask("GET", package, token=token)) == (403, "engine-waiting")
        polled = worker.poll(engine.engine, token)
        assert PollAnswer.from_bytes(polled[1]).code == "waiting-for-approval"
    approve_engines(admin, [engine.engine], actor=ACTOR, now=datetime.now(UTC))
    since = time.monotonic()
    in_force(workers, lambda worker: worker.ask("HEAD", package, token=token)[0] == 200, since=since)
    for worker in workers:
        assert PollAnswer.from_bytes(worker.poll(engine.engine, token)[1]).order is not None


def test_the_access_of_a_host_whose_place_was_taken_ends_in_every_worker_within_a_second(
    workers: list[Worker], admin: Portal
) -> None:
    before = join(admin, workers[0])
    old = access_token(workers[0], before)
    after = join(admin, workers[1], EnrolTerms(replaces=before.engine))
    since = time.monotonic()
    new = access_token(workers[2], after)
    for worker in workers:
        assert worker.poll(after.engine, new)[0] == 200
    in_force(workers, lambda worker: worker.poll(before.engine, old)[0] == 401, since=since)
    secret = TokenRequest(engine=before.engine, secret=before.secret).to_bytes()
    for worker in workers:
        assert code_of(worker.poll(before.engine, old)) == (401, "engine-replaced")
        assert code_of(worker.ask("POST", "/api/v1/token", secret)) == (401, "engine-secret-wrong")


def test_guesses_are_counted_by_all_workers_together(workers: list[Worker], admin: Portal) -> None:
    guess = EnrolRequest(
        token="engineshed-join-guessed",
        product=PRODUCT,
        platform="linux-x86_64",
        version=None,
        host_name="host-1",
        updater_version="0.1.0",
    ).to_bytes()
    codes = []
    for number in range(FREE_FAILURES + 1):
        codes.append(code_of(workers[number % WORKERS].ask("POST", "/api/v1/enrol", guess)))
    assert codes == [(401, "enrol-token-unknown")] * (FREE_FAILURES + 1)
    for worker in workers:
        assert code_of(worker.ask("POST", "/api/v1/enrol", guess)) == (429, "enrol-delayed")
    for worker in workers:  # and whoever has a good token joins all the same
        assert join(admin, worker).engine.startswith("eng_")
