from __future__ import annotations

import pytest

from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAllowed, NotAuthenticated, NotFound, Refused
from engineshed_server.services.api_tokens import (
    ADMINS,
    PUBLISHERS,
    READERS,
    NewApiToken,
    Scope,
    create_api_token,
    revoke_api_token,
    verify_api_token,
)
from tests.server.databases import everything_in
from tests.server.portals import House


def make(house: House, scope: Scope = Scope.VIEWER) -> NewApiToken:
    return create_api_token(house.portal, name="a program", scope=scope, actor=Actor("test"), now=house.now)


def test_a_token_says_whose_it_is(house: House) -> None:
    made = make(house)
    found = verify_api_token(house.portal, made.secret, allowed=READERS)
    assert (found.token_id, found.name, found.scope) == (made.token_id, "a program", Scope.VIEWER)


@pytest.mark.parametrize(
    ("allowed", "scopes"),
    [(READERS, {"viewer", "support", "admin"}), (PUBLISHERS, {"support", "admin"}), (ADMINS, {"admin"})],
)
def test_a_scope_opens_what_it_is_for(house: House, allowed: frozenset[Scope], scopes: set[str]) -> None:
    let_in = set()
    for scope in Scope:
        try:
            let_in.add(verify_api_token(house.portal, make(house, scope).secret, allowed=allowed).scope.value)
        except NotAllowed as err:
            assert err.code == "api-token-scope"  # noqa: PT017  # one of several outcomes of the loop
    assert let_in == scopes


@pytest.mark.parametrize("secret", ["", "engineshed-api-guessed", "x" * 10_000])
def test_a_wrong_token_is_refused(house: House, secret: str) -> None:
    make(house)
    with pytest.raises(NotAuthenticated) as caught:
        verify_api_token(house.portal, secret, allowed=READERS)
    assert caught.value.code == "api-token-unknown"


def test_an_engines_secret_is_no_api_token(house: House) -> None:
    with pytest.raises(NotAuthenticated):
        verify_api_token(house.portal, house.enrol().secret, allowed=READERS)


def test_a_revoked_token_is_refused_at_once_in_every_process(house: House) -> None:
    made, other = make(house), house.reopen()
    assert revoke_api_token(house.portal, made.token_id, actor=Actor("test"), now=house.now)
    with pytest.raises(NotAuthenticated) as caught:
        verify_api_token(other.portal, made.secret, allowed=READERS)
    other.portal.close()
    assert caught.value.code == "api-token-revoked"


def test_revoking_twice_is_said_and_changes_nothing(house: House) -> None:
    made = make(house)
    revoke_api_token(house.portal, made.token_id, actor=Actor("test"), now=house.now)
    assert not revoke_api_token(house.portal, made.token_id, actor=Actor("test"), now=house.now)
    assert house.audited()[-2:] == ["api-token-created", "api-token-revoked"]


def test_an_unknown_token_cannot_be_revoked(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        revoke_api_token(house.portal, "tok_nothing", actor=Actor("test"), now=house.now)
    assert caught.value.code == "api-token-unknown"


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
