from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engineshed_packages.protocol import Attributes
from engineshed_server.db import engines
from engineshed_server.db.database import Database
from engineshed_server.errors import TryLater
from engineshed_server.services.presence import Presence
from tests.server.portals import House, poll_of


@pytest.fixture
def engine(house: House) -> str:
    return house.enrol().engine


def note(buffer: Presence, engine: str, *, at: datetime, **changes: object) -> None:
    buffer.note(poll_of(engine, now=at, **changes), now=at)


def shown(house: House, engine: str) -> engines.Presence:
    with house.portal.database.read() as session:
        record = engines.find_engine(session, engine)
    assert record is not None
    assert record.presence is not None
    return record.presence


def test_of_several_heartbeats_the_newest_is_written(house: House, engine: str) -> None:
    buffer = Presence()
    for seconds in (1, 3, 2):
        at = house.now + timedelta(seconds=seconds)
        note(buffer, engine, at=at, version=f"1.{seconds}")
    assert buffer.flush(house.portal.database) == 1
    assert shown(house, engine).version == "1.3"


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_two_hosts_that_poll_between_the_same_two_writings_are_seen(
    house: House, engine: str, order: tuple[str, str]
) -> None:
    """They poll in step with the writing, one always last: that one alone was ever written."""
    buffer = Presence()
    at = house.now
    for _ in range(2):
        for boot in order:
            at += timedelta(seconds=1)
            note(buffer, engine, at=at, boot=boot)
        assert buffer.flush(house.portal.database) == 2
    with house.portal.database.read() as session:
        record = engines.find_engine(session, engine)
    assert record is not None
    assert record.boots.two_hosts
    assert shown(house, engine).boot == order[1]


def test_an_older_heartbeat_of_another_process_does_not_replace_a_newer(house: House, engine: str) -> None:
    one, two = Presence(), Presence()
    note(one, engine, at=house.now + timedelta(seconds=1), version="1.1")
    note(two, engine, at=house.now, version="1.0")
    one.flush(house.portal.database)
    two.flush(house.portal.database)
    assert shown(house, engine).version == "1.1"


def test_processes_that_write_the_same_engines_at_once_lose_nothing(house: House) -> None:
    names = sorted(house.enrol().engine for _ in range(6))
    for name in names:
        note(house.portal.presence, name, at=house.now)
    house.portal.presence.flush(house.portal.database)
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        other = house.reopen().portal
        # Some with attributes, some without: what is written alike is written together, in another order.
        for place, name in enumerate(names):
            said = Attributes(os=f"os-{number}") if place % 4 == number else None
            at = house.now + timedelta(seconds=number)
            note(other.presence, name, at=at, boot=f"host-{number}", seq=number, attributes=said)
        barrier.wait()
        other.presence.flush(other.database)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(write, number) for number in range(1, 5)]:
            done.result()
    assert {shown(house, name).seq for name in names} == {4}
    for name in names:
        with house.portal.database.read() as session:
            record = engines.find_engine(session, name)
        assert record is not None
        # The process that was last may have found a newer word than its own.
        assert {"boot-1", "host-4"} <= {boot.nonce for boot in record.boots.recent}


def test_what_was_written_is_not_written_again(house: House, engine: str) -> None:
    buffer = Presence()
    note(buffer, engine, at=house.now)
    assert [buffer.flush(house.portal.database), buffer.flush(house.portal.database)] == [1, 0]


def test_attributes_of_an_older_heartbeat_are_not_lost(house: House, engine: str) -> None:
    buffer = Presence()
    note(buffer, engine, at=house.now, attributes=Attributes(os="linux"))
    note(buffer, engine, at=house.now + timedelta(seconds=1))
    buffer.flush(house.portal.database)
    assert '"os": "linux"' in (shown(house, engine).attributes or "")


def test_what_could_not_be_written_is_kept_for_the_next_time(
    house: House, engine: str, tmp_path: Path
) -> None:
    buffer = Presence()
    note(buffer, engine, at=house.now, version="1.0")
    with pytest.raises(TryLater):
        buffer.flush(Database(f"sqlite+pysqlite:///{tmp_path}/absent/x.db"))
    buffer.flush(house.portal.database)
    assert shown(house, engine).version == "1.0"


def test_what_could_not_be_written_gives_way_to_what_came_since(
    house: House, engine: str, tmp_path: Path
) -> None:
    buffer = Presence()
    away = Database(f"sqlite+pysqlite:///{tmp_path}/absent/x.db")
    note(buffer, engine, at=house.now + timedelta(seconds=1), version="1.1")
    with pytest.raises(TryLater):
        buffer.flush(away)
    note(buffer, engine, at=house.now, version="1.0")
    buffer.flush(house.portal.database)
    assert shown(house, engine).version == "1.1"


def test_a_heartbeat_the_database_refuses_costs_only_itself(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = Presence()
    names = sorted(house.enrol().engine for _ in range(3))
    for name, seq in zip(names, (1, 2**70, 3), strict=True):
        note(buffer, name, at=house.now, seq=seq)
    buffer.flush(house.portal.database)
    assert (shown(house, names[0]).seq, shown(house, names[2]).seq) == (1, 3)
    assert buffer.refused == 1
    # The driver may have its own say about it.
    told = [record for record in caplog.records if record.name.startswith("engineshed_server")]
    assert [record.__dict__["engine"] for record in told] == [names[1]]
    assert buffer.flush(house.portal.database) == 0


def test_closing_the_portal_writes_what_waits(house: House, engine: str) -> None:
    other = house.reopen()
    note(other.portal.presence, engine, at=house.now, version="1.0")
    other.portal.close()
    assert shown(house, engine).version == "1.0"
