from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from engineshed_server.db import enrol_tokens
from engineshed_server.db.database import Database
from tests.server.db.rows import NOW

HASH = "b" * 64
TOKEN = enrol_tokens.EnrolTokenRecord(
    token_id="tok_1",
    token_hash=HASH,
    name="the new hosts in Berlin",
    group="berlin",
    product="manager",
    networks=("10.0.0.0/8", "2001:db8::/32"),
    needs_approval=True,
    replaces=None,
    uses=1,
    uses_left=1,
    expires=NOW + timedelta(hours=1),
    created=NOW,
    revoked=None,
)


def add(database: Database, **changes: object) -> None:
    with database.write() as session:
        enrol_tokens.add_enrol_token(session, replace(TOKEN, **changes))  # type: ignore[arg-type]  # by name


def consume(database: Database, **later: float) -> bool:
    with database.write() as session:
        return enrol_tokens.consume_enrol_token(session, HASH, now=NOW + timedelta(**later))


@pytest.mark.parametrize(
    "changes", [{}, {"networks": (), "product": None, "replaces": "eng_1", "uses": None}]
)
def test_a_token_comes_back_as_it_was_written(database: Database, changes: dict[str, object]) -> None:
    add(database, **changes)
    with database.read() as session:
        found = enrol_tokens.find_enrol_token(session, HASH)
        assert found == enrol_tokens.get_enrol_token(session, "tok_1")
    assert found == replace(TOKEN, **changes)  # type: ignore[arg-type]  # fields by name


def test_a_token_is_used_as_often_as_it_says(database: Database) -> None:
    add(database, uses_left=2)
    assert [consume(database), consume(database), consume(database)] == [True, True, False]


def test_an_expired_token_is_not_used(database: Database) -> None:
    add(database)
    assert not consume(database, hours=1)


def test_an_unknown_token_is_not_used(database: Database) -> None:
    assert not consume(database)


def test_a_revoked_token_is_not_used_and_revoked_once(database: Database) -> None:
    add(database)
    with database.write() as session:
        assert enrol_tokens.revoke_enrol_token(session, "tok_1", now=NOW)
        assert not enrol_tokens.revoke_enrol_token(session, "tok_1", now=NOW)
    assert not consume(database)


def test_tokens_are_listed_from_behind_the_cursor(database: Database) -> None:
    for number in range(3):
        add(database, token_id=f"tok_{number}", token_hash=f"{number}" * 64)
    with database.read() as session:
        page = enrol_tokens.list_enrol_tokens(session, limit=2, after="tok_0")
    assert [one.token_id for one in page] == ["tok_1", "tok_2"]
