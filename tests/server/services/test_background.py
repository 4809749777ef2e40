from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAuthenticated
from engineshed_server.services import access, engines
from engineshed_server.services.background import Background
from tests.server.databases import DatabaseAway
from tests.server.portals import House, poll_of

PATIENCE_S = 20.0  # a loaded machine; what is promised is one second


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def serving(house: House) -> Iterator[House]:
    """Another process of the same portal, with its threads."""
    other = house.reopen()
    background = Background(other.portal)
    yield other
    background.stop()
    other.portal.close()


def test_a_revocation_comes_into_force_in_another_process(house: House, serving: House) -> None:
    engine = house.enrol()
    token = serving.portal.access.issue(engine.engine, lifetime_s=600, now=house.now)
    access.verify_engine(serving.portal, token, now=house.now)
    engines.revoke_engine(house.portal, engine.engine, actor=Actor("test"), now=house.now)

    def refused() -> bool:
        try:
            access.verify_engine(serving.portal, token, now=house.now)
        except NotAuthenticated:
            return True
        return False

    assert until(refused)


def test_heartbeats_are_written_by_themselves(house: House, serving: House) -> None:
    engine = house.enrol()
    serving.portal.presence.note(poll_of(engine.engine, now=house.now), now=house.now)
    assert until(lambda: engines.show_engine(house.portal, engine.engine).line.seen is not None)


def test_stopping_writes_what_waits(house: House) -> None:
    engine, other = house.enrol(), house.reopen()
    background = Background(other.portal)
    other.portal.presence.note(poll_of(engine.engine, now=house.now), now=house.now)
    background.stop()
    assert engines.show_engine(house.portal, engine.engine).line.seen is not None
    other.portal.close()


def test_a_failing_turn_is_counted_and_tried_again(house: House, database_away: DatabaseAway) -> None:
    engine, other = house.enrol(), house.reopen()
    house.portal.database.close()
    with database_away(other.portal.database):
        background = Background(other.portal)
        other.portal.presence.note(poll_of(engine.engine, now=house.now), now=house.now)
        assert until(lambda: background.failures > 0)
    assert until(lambda: engines.show_engine(house.portal, engine.engine).line.seen is not None)
    background.stop()
    other.portal.close()
