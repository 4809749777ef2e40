from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from engineshed_server.db import engines
from engineshed_server.db.database import Database
from engineshed_server.db.presence import write_presences
from engineshed_server.domain.filters import EngineFilter
from tests.server.db.rows import NOW, engine_record, presence_record

LATER = NOW + timedelta(seconds=1)


@pytest.fixture
def engine(database: Database) -> engines.EngineRecord:
    record = engine_record()
    with database.write() as session:
        engines.add_engine(session, record)
    return record


def presence_in(database: Database, engine_id: str) -> engines.Presence | None:
    with database.read() as session:
        found = engines.find_engine(session, engine_id)
    assert found is not None
    return found.presence


def write(database: Database, *presences: engines.Presence) -> None:
    with database.write() as session:
        write_presences(session, presences)


def test_an_engine_comes_back_as_it_was_written(database: Database, engine: engines.EngineRecord) -> None:
    with database.read() as session:
        assert engines.find_engine(session, engine.engine_id) == engine


def test_the_first_presence_is_written(database: Database, engine: engines.EngineRecord) -> None:
    write(database, presence_record())
    assert presence_in(database, engine.engine_id) == presence_record()


def test_a_newer_presence_replaces_the_older(database: Database, engine: engines.EngineRecord) -> None:
    write(database, presence_record())
    write(database, presence_record(seen=LATER, version="1.1"))
    assert presence_in(database, engine.engine_id) == presence_record(seen=LATER, version="1.1")


def test_an_older_presence_never_replaces_a_newer(database: Database, engine: engines.EngineRecord) -> None:
    write(database, presence_record(seen=LATER, version="1.1"))
    write(database, presence_record())
    assert presence_in(database, engine.engine_id) == presence_record(seen=LATER, version="1.1")


def test_a_presence_without_attributes_keeps_those_before(
    database: Database, engine: engines.EngineRecord
) -> None:
    write(database, presence_record(attributes='{"os": "linux"}'))
    write(database, presence_record(seen=LATER))
    found = presence_in(database, engine.engine_id)
    assert found is not None
    assert found.attributes == '{"os": "linux"}'


def test_the_presence_of_an_unknown_engine_does_not_hinder_the_others(
    database: Database, engine: engines.EngineRecord
) -> None:
    write(database, presence_record("nobody"), presence_record())
    assert presence_in(database, engine.engine_id) is not None


def test_the_starts_that_polled_lately_are_remembered(
    database: Database, engine: engines.EngineRecord
) -> None:
    for number, boot in enumerate("ABAB"):
        write(database, presence_record(boot=boot, seen=NOW + timedelta(minutes=number)))
    with database.read() as session:
        found = engines.find_engine(session, engine.engine_id)
    assert found is not None
    assert found.boots.two_hosts


def test_a_presence_that_comes_too_late_is_not_remembered_as_a_start(
    database: Database, engine: engines.EngineRecord
) -> None:
    write(database, presence_record(boot="B", seen=LATER))
    write(database, presence_record(boot="A"))
    with database.read() as session:
        found = engines.find_engine(session, engine.engine_id)
    assert found is not None
    assert [boot.nonce for boot in found.boots.recent] == ["B"]


def test_of_two_who_change_a_state_one_does(database: Database, engine: engines.EngineRecord) -> None:
    with database.write() as session:
        for expected in (True, False):
            moved = engines.move_engine(
                session, engine.engine_id, before=engines.ENROLLED, after=engines.REVOKED, now=NOW
            )
            assert moved is expected
        assert engines.list_not_enrolled(session) == {engine.engine_id: engines.REVOKED}


def test_engines_are_listed_by_state(database: Database, engine: engines.EngineRecord) -> None:
    waiting = engine_record("two", state=engines.WAITING)
    with database.write() as session:
        engines.add_engine(session, waiting)
        found = engines.list_engines(session, EngineFilter(state=engines.WAITING), limit=10, after=None)
        assert found == (waiting,)
        assert engines.list_not_enrolled(session) == {waiting.engine_id: engines.WAITING}


def test_those_are_found_who_wait_too_long(database: Database) -> None:
    with database.write() as session:
        for name, enrolled in (("one", NOW), ("two", LATER)):
            engines.add_engine(session, engine_record(name, state=engines.WAITING, enrolled=enrolled))
        assert engines.list_waiting(session, enrolled_before=LATER, limit=9) == (
            engine_record("one").engine_id,
        )


def test_an_identity_is_replaced_once(database: Database, engine: engines.EngineRecord) -> None:
    new = engine_record(secret_hash="1" * 64, host_name="other", state=engines.WAITING, token_id="tok_1")
    with database.write() as session:
        assert engines.replace_identity(session, new, before=engine)
        assert not engines.replace_identity(session, new, before=engine)
        found = engines.find_engine(session, engine.engine_id)
        assert engines.list_secret_numbers(session) == {engine.engine_id: 2}
    assert found == replace(new, secret_no=2)


def test_an_identity_that_is_replaced_forgets_the_hosts_that_shared_it(
    database: Database, engine: engines.EngineRecord
) -> None:
    for second, boot in enumerate("ABAB"):
        write(database, presence_record(seen=NOW + timedelta(seconds=second), boot=boot))
    with database.write() as session:
        assert engines.note_two_hosts(session, engine.engine_id, now=NOW)
        assert not engines.note_two_hosts(session, engine.engine_id, now=LATER)
        before = engines.find_engine(session, engine.engine_id)
        assert before is not None
        assert before.boots.two_hosts
        assert engines.replace_identity(session, engine_record(), before=before)
        found = engines.find_engine(session, engine.engine_id)
    assert found is not None
    assert (found.boots.two_hosts, found.two_hosts_since) == (False, None)


def test_it_is_told_which_engines_two_hosts_share(database: Database, engine: engines.EngineRecord) -> None:
    told = []
    for second, boot in enumerate("ABABB"):
        presence = presence_record(seen=NOW + timedelta(seconds=second), boot=boot, address=f"192.0.2.{boot}")
        with database.write() as session:
            told.append(write_presences(session, [presence]))
    assert told == [(), (), (), (engine.engine_id,), ()]


def test_a_version_reported_earlier_does_not_replace_a_later_one(
    database: Database, engine: engines.EngineRecord
) -> None:
    with database.write() as session:
        assert engines.set_version(session, engine.engine_id, version="1.2", at=LATER)
        assert not engines.set_version(session, engine.engine_id, version="1.1", at=NOW)
        found = engines.find_engine(session, engine.engine_id)
    assert found is not None
    assert found.version == "1.2"


def test_only_channels_that_differ_are_listed(database: Database, engine: engines.EngineRecord) -> None:
    other = engine_record("two", channel="beta")
    with database.write() as session:
        engines.add_engine(session, other)
        assert engines.list_channels(session, default="stable") == {other.engine_id: "beta"}


def test_engines_are_listed_from_behind_the_cursor(database: Database, engine: engines.EngineRecord) -> None:
    records = sorted([engine, engine_record("two"), engine_record("three")], key=lambda one: one.engine_id)
    with database.write() as session:
        for record in records:
            if record != engine:
                engines.add_engine(session, record)
        page = engines.list_engines(session, limit=2, after=records[0].engine_id)
    assert list(page) == records[1:]
