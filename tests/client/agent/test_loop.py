"""The loop: patience, two locks, the launcher's count, and an end when asked."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engineshed_client.agent import Cycle, Stop, run
from engineshed_client.agent.loop import LOCKED_WAIT_S, Loop, agent_lock
from engineshed_client.errors import Locked, PortalUnavailable
from engineshed_client.settings import load_settings
from engineshed_packages.ids import derived_id
from engineshed_packages.target import Target
from engineshed_packages.times import format_time
from tests.client.joined_base import JoinedBase
from tests.client.little_engine import wait_until
from tests.faulty_http import Answer, answers
from tests.vendor import Vendor


def waits(joined: JoinedBase, answer: Answer, times: int = 1) -> list[float]:
    joined.portal.server.at("/api/v1/poll", answer)
    loop = Loop(joined.parts())
    return [loop.once() for _ in range(times)]


def test_after_a_poll_the_portals_word_counts(joined: JoinedBase) -> None:
    (wait_s,) = waits(joined, answers.json(joined.portal.no_news().to_bytes()))
    assert 0.8 <= wait_s <= 1.2


def test_a_portal_that_asks_for_patience_gets_it(joined: JoinedBase) -> None:
    (wait_s,) = waits(joined, answers.status(429, {"Retry-After": "300"}))
    assert wait_s >= 300


@pytest.mark.parametrize(
    "answer",
    [
        answers.status(500),
        answers.html(),
        answers.json(b'{"code": "engine-revoked"}', 401),
        answers.json(b'{"code": "engine-other-kind"}', 409),
    ],
)
def test_trouble_doubles_the_wait(joined: JoinedBase, answer: Answer) -> None:
    first, _, third = waits(joined, answer, 3)
    assert third > 2 * first


def test_trouble_that_has_passed_is_forgotten(joined: JoinedBase) -> None:
    loop = Loop(joined.parts())
    joined.portal.server.at(
        "/api/v1/poll",
        answers.status(500),
        answers.status(500),
        answers.json(joined.portal.no_news().to_bytes()),
    )
    assert [loop.once() for _ in range(3)][2] <= 1.2


def test_a_package_that_cannot_be_fetched_is_trouble(joined: JoinedBase, vendor: Vendor) -> None:
    target = vendor.release("1.0.0")
    joined.portal.publish(vendor)
    joined.portal.server.at(joined.portal.package_at(target), answers.status(500))
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(target)))
    loop = Loop(joined.parts())
    first, _, third = (loop.once() for _ in range(3))
    assert third > 2 * first


def test_after_an_attempt_the_portal_is_asked_again_at_once(joined: JoinedBase, vendor: Vendor) -> None:
    target = vendor.release("1.0.0")
    joined.portal.publish(vendor)
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(target)))
    assert Loop(joined.parts()).once() == 0


def test_the_portals_pace_goes_before_that_of_the_settings_in_trouble_too(
    joined: JoinedBase, vendor: Vendor
) -> None:
    target = vendor.release("1.0.0")
    joined.portal.publish(vendor)
    joined.portal.server.at(joined.portal.package_at(target), answers.status(500))
    joined.portal.answer_polls(joined.portal.offer(joined.portal.order(target)))
    joined.paths.settings.write_text(joined.paths.settings.read_text().replace("poll_s = 1", "poll_s = 60"))
    settings = load_settings(joined.paths.base, environ={}, flags={})
    joined.context = replace(joined.context, settings=settings)
    assert Loop(joined.parts()).once() <= 1.2


def test_the_log_tells_until_when_it_waits(joined: JoinedBase, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "engineshed_client.agent.loop")
    joined.context = replace(joined.context, now=lambda: datetime(2026, 11, 22, 8, 0, tzinfo=UTC))
    joined.portal.answer_polls(replace(joined.portal.no_news(), poll_s=600))
    wait_s = Loop(joined.parts()).once()
    until = format_time(joined.context.now() + timedelta(seconds=wait_s))
    assert [vars(one)["next"] for one in caplog.records if one.msg == "cycle ended"] == [until]


def test_a_bug_in_a_cycle_does_not_end_the_updater(
    joined: JoinedBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(self: Cycle) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Cycle, "run", bug)
    assert Loop(joined.parts()).once() > 0


def test_a_command_that_works_on_the_base_is_waited_for(joined: JoinedBase) -> None:
    with joined.context.fs.lock(joined.paths.lock):
        assert Loop(joined.parts()).once() == LOCKED_WAIT_S
    assert joined.portal.polls() == []


def test_a_second_loop_on_one_base_is_refused(joined: JoinedBase) -> None:
    with joined.context.fs.lock(agent_lock(joined.paths)), pytest.raises(Locked) as caught:
        run(joined.parts(), Stop())
    assert caught.value.code == "locked"


def in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def test_between_two_cycles_a_command_can_work(joined: JoinedBase) -> None:
    stop, parts = Stop(), joined.parts()
    thread = in_thread(lambda: run(parts, stop))
    try:
        wait_until(lambda: len(joined.portal.polls()) >= 1)
        wait_until(lambda: joined.command("-q", "recover") == 0)
    finally:
        stop.ask()
        thread.join()


def test_the_loop_ends_when_it_is_asked(joined: JoinedBase) -> None:
    stop, parts = Stop(), joined.parts()
    thread = in_thread(lambda: run(parts, stop))
    wait_until(lambda: len(joined.portal.polls()) >= 1)
    stop.ask()
    thread.join(20)
    assert not thread.is_alive()


def test_the_locks_stay_on_disk(joined: JoinedBase) -> None:
    stop, parts = Stop(), joined.parts()
    stop.ask()
    run(parts, stop)
    assert agent_lock(joined.paths).exists()


def test_sigterm_asks_to_stop_and_afterwards_is_as_before() -> None:
    stop, before = Stop(), signal.getsignal(signal.SIGTERM)
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait(20)
    assert (stop.wanted, signal.getsignal(signal.SIGTERM)) == (True, before)


def test_a_download_is_broken_off_when_the_updater_is_to_stop(joined: JoinedBase, vendor: Vendor) -> None:
    target: Target = vendor.release("1.0.0", files={"lib/big.bin": bytes(3 * 1024 * 1024)})
    joined.portal.publish(vendor)
    stop = Stop()
    stop.ask()

    def progress(received: int, total: int) -> None:
        stop.check()

    with pytest.raises(PortalUnavailable) as caught:
        joined.parts().portal.download(target, joined.paths.base / "a.part", progress=progress)
    assert caught.value.code == "stopping"


def test_a_running_updater_goes_on_as_who_the_base_is_by_now(joined: JoinedBase) -> None:
    loop = Loop(joined.parts())
    loop.once()
    new = replace(joined.portal.credentials, engine=derived_id("eng", "new"), secret="another")
    joined.paths.credentials.write_bytes(new.to_bytes())
    loop.once()
    loop.once()
    before, *after = [poll.engine for poll in joined.portal.polls()]
    assert (before, after) == (joined.portal.engine_id, [new.engine, new.engine])


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_running_updater_goes_on_without_an_identity_on_disk(
    joined: JoinedBase, content: str | None
) -> None:
    loop = Loop(joined.parts())
    if content is None:
        joined.paths.credentials.unlink()
    else:
        joined.paths.credentials.write_text(content)
    loop.once()
    assert [poll.engine for poll in joined.portal.polls()] == [joined.portal.engine_id]
