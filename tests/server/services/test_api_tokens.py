from __future__ import annotations

import json
from datetime import timedelta

import pytest

from engineshed_packages.times import format_time
from engineshed_server.db import audit
from engineshed_server.db.database import Database
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAllowed, NotAuthenticated, NotFound, Refused, TryLater
from engineshed_server.services.api_tokens import (
    ADMINS,
    PUBLISHERS,
    READERS,
    RELEASE_READERS,
    ApiToken,
    NewApiToken,
    Scope,
    create_api_token,
    list_api_tokens,
    newest_api_tokens,
    revoke_api_token,
    show_api_token,
    verify_api_token,
)
from tests.server.databases import everything_in
from tests.server.portals import House
from tests.server.statements import counted


def make(house: House, scope: Scope = Scope.VIEWER) -> NewApiToken:
    return create_api_token(house.portal, name="a program", scope=scope, actor=Actor("test"), now=house.now)


def test_a_token_says_whose_it_is(house: House) -> None:
    made = make(house)
    found = verify_api_token(house.portal, made.secret, allowed=READERS, now=house.now)
    assert (found.token_id, found.name, found.scope) == (made.token_id, "a program", Scope.VIEWER)


@pytest.mark.parametrize(
    ("allowed", "scopes"),
    [
        (RELEASE_READERS, {"viewer", "support", "admin"}),
        (READERS, {"viewer", "admin"}),
        (PUBLISHERS, {"support", "admin"}),
        (ADMINS, {"admin"}),
    ],
)
def test_a_scope_opens_what_it_is_for(house: House, allowed: frozenset[Scope], scopes: set[str]) -> None:
    let_in = set()
    for scope in Scope:
        try:
            let_in.add(
                verify_api_token(
                    house.portal, make(house, scope).secret, allowed=allowed, now=house.now
                ).scope.value
            )
        except NotAllowed as err:
            assert err.code == "api-token-scope"  # noqa: PT017  # one of several outcomes of the loop
    assert let_in == scopes


@pytest.mark.parametrize("secret", ["", "engineshed-api-guessed", "x" * 10_000])
def test_a_wrong_token_is_refused(house: House, secret: str) -> None:
    make(house)
    with pytest.raises(NotAuthenticated) as caught:
        verify_api_token(house.portal, secret, allowed=READERS, now=house.now)
    assert caught.value.code == "api-token-unknown"


def test_an_engines_secret_is_no_api_token(house: House) -> None:
    with pytest.raises(NotAuthenticated):
        verify_api_token(house.portal, house.enrol().secret, allowed=READERS, now=house.now)


def revoke(house: House, made: NewApiToken) -> ApiToken:
    return revoke_api_token(house.portal, made.token_id, actor=Actor("test"), now=house.now)


def refusal(house: House, made: NewApiToken) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        verify_api_token(house.portal, made.secret, allowed=READERS, now=house.now)
    return caught.value.code


def test_a_revoked_token_is_refused_at_once_where_it_was_revoked(house: House) -> None:
    made = make(house)
    assert revoke(house, made).revoked == house.now
    assert refusal(house, made) == "api-token-revoked"


def test_a_revoked_token_is_refused_by_another_process_as_soon_as_it_has_looked(house: House) -> None:
    made, other = make(house), house.reopen()
    verify_api_token(other.portal, made.secret, allowed=READERS, now=house.now)
    revoke(house, made)
    assert other.portal.snapshot.refresh()
    assert refusal(other, made) == "api-token-revoked"
    other.portal.close()


def test_a_token_younger_than_the_memory_of_a_process_is_known_to_it(house: House) -> None:
    other = house.reopen()
    made = make(house)
    assert not other.portal.snapshot.current().api_tokens
    assert verify_api_token(other.portal, made.secret, allowed=READERS, now=house.now).name == "a program"
    other.portal.close()


def test_a_known_token_costs_no_sql(house: House) -> None:
    made = make(house)
    house.portal.snapshot.refresh()
    with counted(house.portal.database) as statements:
        verify_api_token(house.portal, made.secret, allowed=READERS, now=house.now)
    assert statements == []


def test_a_token_ends_when_it_says(house: House) -> None:
    made = create_api_token(
        house.portal, name="x", scope=Scope.VIEWER, expires_s=60, actor=Actor("test"), now=house.now
    )
    house.tick(seconds=59)
    assert verify_api_token(house.portal, made.secret, allowed=READERS, now=house.now).expires is not None
    house.tick(seconds=1)
    assert refusal(house, made) == "api-token-expired"


@pytest.mark.parametrize("expires_s", [0, -1, 3661 * 86400])
def test_a_life_that_is_none_is_refused(house: House, expires_s: int) -> None:
    with pytest.raises(Refused) as caught:
        create_api_token(
            house.portal, name="x", scope=Scope.VIEWER, expires_s=expires_s, actor=Actor("t"), now=house.now
        )
    assert caught.value.code == "api-token-life"


def test_when_a_token_was_last_used_is_written_once_a_minute(house: House) -> None:
    made = make(house)
    portal = house.portal
    written = []
    for seconds in (0, 1, 58, 1, 59):
        house.tick(seconds=seconds)
        verify_api_token(portal, made.secret, allowed=READERS, now=house.now)
        written.append(portal.token_use.flush(portal.database))
    assert written == [1, 0, 0, 1, 0]
    assert show_api_token(portal, made.token_id).used == house.now - timedelta(seconds=59)


def test_a_refused_request_is_no_use_of_a_token(house: House) -> None:
    made = make(house)
    with pytest.raises(NotAllowed):
        verify_api_token(house.portal, made.secret, allowed=ADMINS, now=house.now)
    assert house.portal.token_use.flush(house.portal.database) == 0


def test_a_use_that_could_not_be_written_is_kept(house: House) -> None:
    made = make(house)
    verify_api_token(house.portal, made.secret, allowed=READERS, now=house.now)
    broken = Database("sqlite+pysqlite:////nowhere/at/all.db")
    with pytest.raises(TryLater):
        house.portal.token_use.flush(broken)
    assert house.portal.token_use.flush(house.portal.database) == 1


def test_revoking_twice_changes_nothing(house: House) -> None:
    made = make(house)
    first = revoke(house, made)
    house.tick()
    assert revoke(house, made) == first
    assert house.audited()[-2:] == ["api-token-created", "api-token-revoked"]


def test_the_audit_says_what_was_and_what_is(house: House) -> None:
    made = make(house)
    revoke(house, made)
    with house.portal.database.read() as session:
        created, revoked = audit.list_audit(session)[-2:]
    assert (created.before, json.loads(created.after or "")["scope"]) == (None, "viewer")
    assert json.loads(revoked.before or "") == json.loads(created.after or "")
    assert json.loads(revoked.after or "")["revoked"] == format_time(house.now)


def test_an_unknown_token_cannot_be_revoked(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        revoke_api_token(house.portal, "tok_nothing", actor=Actor("test"), now=house.now)
    assert caught.value.code == "api-token-not-found"


def test_tokens_are_listed_a_page_at_a_time_the_oldest_first(house: House) -> None:
    made = [make(house).token_id for _ in range(3)]
    house.tick()
    made = [*sorted(made), make(house).token_id]
    seen: list[str] = []
    page = list_api_tokens(house.portal, limit=2)
    seen += [one.token_id for one in page.tokens]
    assert page.after is not None
    last = list_api_tokens(house.portal, limit=2, after=page.after)
    seen += [one.token_id for one in last.tokens]
    assert (seen, last.after) == (made, None)


def test_the_newest_tokens_are_listed_a_page_at_a_time(house: House) -> None:
    made = sorted(make(house).token_id for _ in range(3))
    house.tick()
    made.append(make(house).token_id)
    first = newest_api_tokens(house.portal, limit=2)
    second = newest_api_tokens(house.portal, limit=2, after=first.after)
    assert [one.token_id for one in (*first.tokens, *second.tokens)] == made[::-1]
    assert (first.after is None, second.after) == (False, None)


@pytest.mark.parametrize("place", [("", ""), ("yesterday", "tok_"), ("2026-11-22T08:00:00", "tok_")])
def test_a_place_that_is_none_is_refused(house: House, place: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as caught:
        list_api_tokens(house.portal, limit=2, after=place)
    assert caught.value.code == "page-place"


@pytest.mark.parametrize("name", ["", "x" * 201, "two\nlines", "\x1b[31m"])
def test_a_name_that_cannot_be_shown_is_refused(house: House, name: str) -> None:
    with pytest.raises(Refused) as caught:
        create_api_token(house.portal, name=name, scope=Scope.VIEWER, actor=Actor("test"), now=house.now)
    assert caught.value.code == "api-token-name"


def test_the_secret_is_neither_stored_nor_shown_by_chance(house: House) -> None:
    made = make(house)
    stored = everything_in(house.portal.database)
    assert made.token_id in stored
    assert made.secret not in stored
    assert made.secret not in repr(made)
