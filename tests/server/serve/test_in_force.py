"""What an admin decides is in force in every worker within one second: two real gunicorn workers."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from engineshed_packages.orders import verify_order
from engineshed_packages.protocol import Poll, PollAnswer
from engineshed_packages.versions import Version
from engineshed_server.domain.actors import Actor
from engineshed_server.services.holds import HoldChange, change_hold
from engineshed_server.services.order_keys import rotate_order_key
from engineshed_server.services.ordering import Ask, give_order
from engineshed_server.services.portal import Portal
from engineshed_server.services.stops import turn_off, turn_on
from engineshed_server.wiring import open_portal
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until
from tests.vendor import PRODUCT

ADMIN = Actor("test")
IN_FORCE_S = 1.0


class TwoWorkers:
    """A portal with two workers, of which one may be frozen so that the other must answer."""

    def __init__(self, portal: RunningPortal) -> None:
        self.portal = portal
        parent = portal.start()
        (gunicorn,) = psutil.Process(parent.pid).children()
        wait_until(lambda: len(gunicorn.children()) == 2, "two workers run")
        self.workers = sorted(process.pid for process in gunicorn.children())
        self.engine, self._token = portal.enrol("0.9.0")

    @contextmanager
    def admin(self) -> Iterator[Portal]:
        """The portal as a command opens it, in this process."""
        with closing(open_portal(self.portal.settings)) as portal:
            yield portal

    def poll_each(self) -> list[PollAnswer]:
        """One answer of each worker."""
        answers = []
        for frozen in self.workers:
            os.kill(frozen, signal.SIGSTOP)
            try:
                answers.append(self.poll())
            finally:
                os.kill(frozen, signal.SIGCONT)
        return answers

    def poll(self) -> PollAnswer:
        poll = Poll(
            engine=self.engine.engine,
            product=PRODUCT,
            platform="linux-x86_64",
            version=Version.parse("0.9.0"),
            state="IDLE",
            boot="boot-1",
            clock=datetime.now(UTC),
            updater_version="0.1.0",
        )
        bearer = f"Bearer {self._token}"
        status, body = self.portal.post("/api/v1/poll", poll.to_bytes(), Authorization=bearer)
        assert status == 200, body
        return PollAnswer.from_bytes(body)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoWorkers]:
    folder: Path = tmp_path_factory.mktemp("portal")
    portal = RunningPortal(folder, workers=2)
    try:
        portal.publish("1.0.0")
        yield TwoWorkers(portal)
    finally:
        portal.end()


def codes(answers: list[PollAnswer]) -> list[str]:
    return [answer.code if answer.order is None else "order" for answer in answers]


def test_an_emergency_stop(both: TwoWorkers) -> None:
    assert codes(both.poll_each()) == ["order", "order"]
    with both.admin() as portal:
        turn_on(portal, product=None, channel=None, reason="it burns", actor=ADMIN, now=datetime.now(UTC))
        time.sleep(IN_FORCE_S)
        assert codes(both.poll_each()) == ["emergency-stop", "emergency-stop"]
        turn_off(portal, product=None, channel=None, reason="it is out", actor=ADMIN, now=datetime.now(UTC))
        time.sleep(IN_FORCE_S)
        assert codes(both.poll_each()) == ["order", "order"]


def test_a_hold(both: TwoWorkers) -> None:
    with both.admin() as portal:
        change_hold(
            portal,
            PRODUCT,
            version="1.0.0",
            change=HoldChange(held=True, reason="shaky"),
            actor=ADMIN,
            now=datetime.now(UTC),
        )
        time.sleep(IN_FORCE_S)
        assert codes(both.poll_each()) == ["nothing-fits", "nothing-fits"]
        change_hold(
            portal,
            PRODUCT,
            version="1.0.0",
            change=HoldChange(held=False, reason="firm"),
            actor=ADMIN,
            now=datetime.now(UTC),
        )
        time.sleep(IN_FORCE_S)
        assert codes(both.poll_each()) == ["order", "order"]


def test_an_order_an_admin_gives(both: TwoWorkers) -> None:
    with both.admin() as portal:
        give_order(portal, both.engine.engine, Ask(do="stop"), actor=ADMIN, now=datetime.now(UTC))
        time.sleep(IN_FORCE_S)
        first, second = both.poll_each()
    assert (first.code, second.code) == ("ordered", "ordered")
    assert first.order == second.order
    assert first.order is not None


def test_a_rotated_order_key(both: TwoWorkers) -> None:
    with both.admin() as portal:
        done = rotate_order_key(portal, standby_out=None, actor=ADMIN, now=datetime.now(UTC))
        time.sleep(IN_FORCE_S)
    answers = both.poll_each()
    assert [answer.code for answer in answers] == ["configure", "configure"]
    assert answers[0].order == answers[1].order
    assert answers[0].order is not None
    order = verify_order(answers[0].order, both.engine.order_keys).order
    assert order.next_keys == done.configuration.keys
