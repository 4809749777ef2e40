"""The one query of monitoring."""

from __future__ import annotations

from datetime import timedelta

from engineshed_server.db import engines
from engineshed_server.db.database import Database
from engineshed_server.db.fleet_counts import count_engines
from engineshed_server.db.presence import write_presences
from engineshed_server.domain.fleet_counts import EngineGroup
from tests.server.db.rows import NOW, engine_record, presence_record

SINCE = NOW - timedelta(minutes=30)
LONG_AGO = NOW - timedelta(days=1)
GROUP = EngineGroup(
    product="manager",
    state=engines.ENROLLED,
    version="1.0",
    channel="stable",
    engines=1,
    online=0,
    at_work=0,
)


def found(database: Database) -> set[EngineGroup]:
    with database.read() as session:
        groups = count_engines(session, online_since=SINCE)
    assert len(groups) == len(set(groups))
    return set(groups)


def add(database: Database, name: str, *presences: engines.Presence, **changes: object) -> None:
    with database.write() as session:
        engines.add_engine(session, engine_record(name, **{"enrolled": LONG_AGO, **changes}))
        session.flush()
        write_presences(session, presences)


def grouped(**changes: object) -> EngineGroup:
    values = {name: getattr(GROUP, name) for name in GROUP.__dataclass_fields__}
    return EngineGroup(**{**values, **changes})


def test_without_engines_there_is_no_group(database: Database) -> None:
    assert found(database) == set()


def test_engines_of_which_the_same_is_known_are_one_group(database: Database) -> None:
    for name in ("one", "two"):
        add(database, name)
    add(database, "three", product="agent")
    add(database, "four", channel="beta")
    add(database, "five", state=engines.WAITING)
    add(database, "six", version=None)
    assert found(database) == {
        grouped(engines=2),
        grouped(product="agent"),
        grouped(channel="beta"),
        grouped(state=engines.WAITING),
        grouped(version=None),
    }


def test_names_that_differ_by_case_are_two_groups(database: Database) -> None:
    add(database, "one", channel="Beta")
    add(database, "two", channel="beta")
    assert found(database) == {grouped(channel="Beta"), grouped(channel="beta")}


def test_the_newer_word_of_poll_and_report_is_the_version(database: Database) -> None:
    later = presence_record("one", version="1.1", seen=NOW + timedelta(seconds=1), attempt="att_1")
    add(database, "one", later)
    before = presence_record("two", version="0.9", seen=NOW - timedelta(seconds=1), attempt="att_2")
    add(database, "two", before)
    # Who reported after the poll is at work no more.
    assert found(database) == {grouped(version="1.1", online=1, at_work=1), grouped(online=1)}


def test_who_was_not_heard_of_lately_is_not_online(database: Database) -> None:
    add(database, "one", presence_record("one", seen=SINCE), version_at=LONG_AGO)
    late = presence_record("two", seen=SINCE - timedelta(seconds=1))
    add(database, "two", late, version_at=LONG_AGO)
    add(database, "three")
    assert found(database) == {grouped(engines=3, online=1)}


def test_who_has_just_joined_is_not_late_before_its_first_poll(database: Database) -> None:
    add(database, "one", enrolled=SINCE)
    add(database, "two", enrolled=SINCE - timedelta(seconds=1))
    assert found(database) == {grouped(engines=2, online=1)}
