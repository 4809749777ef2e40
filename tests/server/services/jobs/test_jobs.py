"""A job from its wish to its end, on every database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from engineshed_server.db.jobs import JobRecord
from engineshed_server.domain.jobs import LEASE, MAX_LINES, pause_after
from engineshed_server.errors import Conflict, NotFound, Refused
from engineshed_server.services.jobs.kinds import Kinds, Run
from engineshed_server.services.jobs.requesting import JobDetail, cancel_job, request_job, show_job, write_job
from engineshed_server.services.jobs.ringing import ring_again
from engineshed_server.services.jobs.running import Worker
from engineshed_server.services.portal import Portal
from tests.server.portals import ACTOR, House
from tests.server.services.jobs.bells import WORKER, HeardBell, kinds_of, run


class Died(BaseException):
    """What ends a worker: nothing of ours catches it."""


def nothing(portal: Portal, job: Run) -> None:
    """Work that is done at once."""


def dies(portal: Portal, job: Run) -> None:
    raise Died


def fails(portal: Portal, job: Run) -> None:
    raise Refused("disk-low", "found 3 MB free, expected 100 MB: make room")


def ask(house: House, kinds: Kinds, bell: HeardBell | None = None) -> str:
    job = request_job(
        house.portal, "count", kinds=kinds, bell=bell or HeardBell(), actor=ACTOR, now=house.now
    )
    return job.job_id


def shown(house: House, job_id: str) -> JobDetail:
    return show_job(house.portal, job_id)


def die(house: House, job_id: str) -> None:
    with pytest.raises(Died):
        run(house, job_id, kinds_of(dies))


def test_a_job_is_rung_for_once_it_is_written_and_done_once(house: House) -> None:
    bell, done = HeardBell(), []

    def work(portal: Portal, job: Run) -> None:
        job.reach(1, 2)
        job.say("half of it")
        done.append(job.arguments)

    kinds = kinds_of(work)
    job_id = ask(house, kinds, bell)
    assert bell.rung == [job_id]
    assert [run(house, job_id, kinds), run(house, job_id, kinds)] == ["done", None]
    job, lines = shown(house, job_id).job, shown(house, job_id).lines
    assert (job.state, job.attempt, job.progress, job.worker, job.error) == ("done", 1, 100, None, None)
    assert [line.text for line in lines] == ["half of it"]
    assert done == [{}]
    assert "job-requested" in house.audited()


def test_a_kind_nobody_knows_is_refused_and_the_known_ones_are_named(house: House) -> None:
    with pytest.raises(Refused, match="expected one of count") as caught:
        request_job(
            house.portal, "cuont", kinds=kinds_of(nothing), bell=HeardBell(), actor=ACTOR, now=house.now
        )
    assert caught.value.code == "job-kind-unknown"


def test_of_many_workers_that_hear_the_bell_one_does_the_job(house: House) -> None:
    barrier, done = threading.Barrier(4), []
    kinds = kinds_of(lambda portal, job: done.append(1))
    job_id = ask(house, kinds)

    def hear(number: int) -> str | None:
        barrier.wait()
        return run(house, job_id, kinds, worker=Worker(name=f"worker-{number}", node="here"))

    with ThreadPoolExecutor(4) as threads:
        ended = list(threads.map(hear, range(4)))
    assert sorted(ended, key=str) == [None, None, None, "done"]
    assert done == [1]


def test_a_job_that_fails_rests_longer_each_time_and_then_has_failed(house: House) -> None:
    kinds = kinds_of(fails, max_attempts=3)
    job_id = ask(house, kinds)
    for attempt in (1, 2):
        assert run(house, job_id, kinds) == "waiting"
        job = shown(house, job_id).job
        assert job.not_before == house.now + pause_after(attempt)
        assert (job.error_code, job.error) == ("disk-low", "found 3 MB free, expected 100 MB: make room")
        assert run(house, job_id, kinds) is None  # it rests
        house.now += pause_after(attempt)
    assert run(house, job_id, kinds) == "failed"
    detail = shown(house, job_id)
    assert (detail.job.state, detail.job.attempt, detail.job.error_code) == ("failed", 3, "disk-low")
    assert [line.level for line in detail.lines] == ["error"] * 3
    house.tick(days=1)
    assert run(house, job_id, kinds) is None


def test_pauses_double_up_to_an_hour() -> None:
    assert [pause_after(number).total_seconds() for number in (1, 2, 3, 9, 10, 1000)] == [
        10,
        20,
        40,
        2560,
        3600,
        3600,
    ]


def test_a_crash_of_the_function_is_an_error_of_the_job_and_not_of_the_worker(house: House) -> None:
    def work(portal: Portal, job: Run) -> None:
        raise ZeroDivisionError("by nothing")

    job_id = ask(house, kinds_of(work))
    assert run(house, job_id, kinds_of(work, max_attempts=1)) == "failed"
    job = shown(house, job_id).job
    assert (job.error_code, job.error) == ("job-crashed", "ZeroDivisionError: by nothing")


def test_a_job_of_a_worker_that_died_is_anothers_when_the_lease_is_over(house: House) -> None:
    kinds = kinds_of(nothing)
    job_id = ask(house, kinds)
    die(house, job_id)
    house.now += LEASE - timedelta(seconds=1)
    assert run(house, job_id, kinds) is None
    house.tick()
    other = Worker(name="worker-2", node="there")
    assert run(house, job_id, kinds, worker=other) == "done"
    assert shown(house, job_id).job.attempt == 2


def test_a_job_that_kills_every_worker_is_given_up(house: House) -> None:
    job_id = ask(house, kinds_of(nothing))
    for _ in range(3):
        die(house, job_id)
        house.now += LEASE
    assert run(house, job_id, kinds_of(dies, max_attempts=3)) == "failed"
    assert shown(house, job_id).job.error_code == "job-given-up"


def test_what_a_worker_says_that_was_taken_for_dead_is_not_written(house: House) -> None:
    def slow(portal: Portal, job: Run) -> None:
        house.now += LEASE  # nobody kept the lease meanwhile
        assert run(house, job_id, kinds_of(nothing)) == "done"
        raise Refused("too-late", "nobody is to see this")

    job_id = ask(house, kinds_of(slow))
    assert run(house, job_id, kinds_of(slow)) is None
    job = shown(house, job_id).job
    assert (job.state, job.attempt, job.error_code) == ("done", 2, None)


def test_the_lease_of_a_job_that_runs_is_kept_and_its_progress_shown(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engineshed_server.services.jobs.running.KEEP_EVERY_S", 0.01)
    seen: list[JobRecord] = []

    def work(portal: Portal, job: Run) -> None:
        before = shown(house, job_id).job.lease_until
        house.tick(seconds=20)
        job.reach(1, 4)
        for _ in range(1000):
            seen[:] = [shown(house, job_id).job]
            if seen[0].progress == 25 and seen[0].lease_until != before:
                return
            threading.Event().wait(0.01)

    kinds = kinds_of(work)
    job_id = ask(house, kinds)
    assert run(house, job_id, kinds) == "done"
    assert (seen[0].lease_until, seen[0].progress) == (house.now + LEASE, 25)


def test_a_job_that_waits_is_cancelled_at_once(house: House) -> None:
    kinds = kinds_of(nothing)
    job_id = ask(house, kinds)
    assert cancel_job(house.portal, job_id, actor=ACTOR, now=house.now).state == "cancelled"
    assert run(house, job_id, kinds) is None
    with pytest.raises(Conflict) as caught:
        cancel_job(house.portal, job_id, actor=ACTOR, now=house.now)
    assert caught.value.code == "job-ended"
    assert "job-cancelled" in house.audited()


def test_a_job_that_runs_ends_when_somebody_asks_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engineshed_server.services.jobs.running.KEEP_EVERY_S", 0.01)

    def work(portal: Portal, job: Run) -> None:
        assert cancel_job(house.portal, job_id, actor=ACTOR, now=house.now).state == "running"
        for step in range(1000):
            job.reach(step, 1000)
            threading.Event().wait(0.01)

    kinds = kinds_of(work)
    job_id = ask(house, kinds)
    assert run(house, job_id, kinds) == "cancelled"
    job = shown(house, job_id).job
    assert (job.state, job.ended, job.error) == ("cancelled", house.now, None)
    assert "job-cancel-asked" in house.audited()


def test_a_cancelled_job_of_a_worker_that_died_is_not_begun_again(house: House) -> None:
    job_id = ask(house, kinds_of(nothing))
    die(house, job_id)
    cancel_job(house.portal, job_id, actor=ACTOR, now=house.now)
    house.now += LEASE
    assert run(house, job_id, kinds_of(dies)) == "cancelled"


def test_a_job_that_took_too_long_says_so(house: House) -> None:
    class Overdue(Exception):
        """What the limit of the workers raises."""

    def work(portal: Portal, job: Run) -> None:
        raise Overdue

    kinds = kinds_of(work, max_attempts=1)
    worker = Worker(name="w", node="here", overdue=(Overdue,))
    job_id = ask(house, kinds)
    assert run(house, job_id, kinds, worker=worker) == "failed"
    assert shown(house, job_id).job.error == "it was not ready after 600 s (Overdue)"


def test_what_waits_or_lost_its_worker_is_rung_again_and_nothing_else(house: House) -> None:
    kinds = kinds_of(nothing)
    lost, died, done, resting = (ask(house, kinds) for _ in range(4))
    assert run(house, done, kinds) == "done"
    assert run(house, resting, kinds_of(fails)) == "waiting"
    die(house, died)
    bell = HeardBell()
    assert ring_again(house.portal, bell, now=house.now) == 1
    assert bell.rung == [lost]
    house.now += LEASE
    bell = HeardBell()
    assert ring_again(house.portal, bell, now=house.now) == 3
    assert set(bell.rung) == {lost, died, resting}


def test_lines_beyond_the_limit_are_not_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engineshed_server.services.jobs.running.MAX_LINES", 3)

    def work(portal: Portal, job: Run) -> None:
        for number in range(5):
            job.say(f"line {number} " + "x" * 1000)

    kinds = kinds_of(work)
    job_id = ask(house, kinds)
    run(house, job_id, kinds)
    lines = shown(house, job_id).lines
    assert [line.text[:6] for line in lines] == ["line 0", "line 1", "more l"]
    assert max(len(line.text) for line in lines) == 500
    assert MAX_LINES == 1000


def test_a_job_for_another_node_is_left_to_it(house: House) -> None:
    with house.portal.database.write() as session:
        job_id = write_job(session, "count", actor=ACTOR, now=house.now, node="there").job_id
    kinds = kinds_of(nothing)
    assert run(house, job_id, kinds, worker=WORKER) is None
    assert run(house, job_id, kinds, worker=Worker(name="w", node="there")) == "done"


def test_a_job_nobody_knows_is_not_found(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        shown(house, "job_aaaaaaaaaaaaaaaaaaaa")
    assert caught.value.code == "job-unknown"
