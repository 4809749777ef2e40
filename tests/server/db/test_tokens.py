from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from engineshed_server.db import tokens
from engineshed_server.db.database import Database
from tests.server.db.rows import NOW

HASH = "b" * 64
TOKEN = tokens.EnrolTokenRecord(
    token_id="tok_1",
    token_hash=HASH,
    group="default",
    uses_left=1,
    expires=NOW + timedelta(hours=1),
    created=NOW,
)


def add(database: Database, record: tokens.EnrolTokenRecord = TOKEN) -> None:
    with database.write() as session:
        tokens.add_enrol_token(session, record)


def consume(database: Database, **later: float) -> bool:
    with database.write() as session:
        return tokens.consume_enrol_token(session, HASH, now=NOW + timedelta(**later))


def test_a_token_is_used_as_often_as_it_says(database: Database) -> None:
    add(database, replace(TOKEN, uses_left=2))
    assert [consume(database), consume(database), consume(database)] == [True, True, False]


def test_an_expired_token_is_not_used(database: Database) -> None:
    add(database)
    assert not consume(database, hours=1)


def test_an_unknown_token_is_not_used(database: Database) -> None:
    assert not consume(database)


def test_an_old_failure_is_forgotten(database: Database) -> None:
    old = tokens.Throttle(source="enrol:a", failures=3, failed=NOW, wait_until=NOW)
    young = replace(old, source="enrol:b", failed=NOW + timedelta(hours=1))
    with database.write() as session:
        tokens.write_throttle(session, old)
        tokens.write_throttle(session, young)
        session.flush()
        tokens.forget_throttles(session, before=NOW + timedelta(minutes=1))
    with database.read() as session:
        assert tokens.find_throttle(session, "enrol:a") is None
        assert tokens.find_throttle(session, "enrol:b") == young
