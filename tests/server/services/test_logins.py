"""Logging in: wrong passwords counted and delayed, sessions that end, and nothing told to who guesses."""

from datetime import datetime, timedelta

import pytest

from engineshed_server.db import audit, sessions
from engineshed_server.domain.roles import Role
from engineshed_server.errors import NotAuthenticated, NotFound, ServerError, Throttled
from engineshed_server.services import guesses, logins, users
from engineshed_server.services.logins import NewSession, SignedIn, Visitor
from engineshed_server.services.secret_texts import hash_secret
from engineshed_server.services.users import guesses_of
from tests.server.databases import DatabaseKind, everything_in
from tests.server.portals import ACTOR, House
from tests.server.statements import counted

# What is said of passwords and of time is the same on every database.
ONE_DATABASE = pytest.mark.parametrize("database_kind", [DatabaseKind.SQLITE])
PASSWORD = "four words in a row"
HERE = Visitor(address="192.0.2.1", user_agent="a browser", request="req_x")


@pytest.fixture
def anna(house: House) -> House:
    """A portal with the user anna."""
    users.create_user(
        house.portal, name="anna", password=PASSWORD, role=Role.ADMIN, actor=ACTOR, now=house.now
    )
    return house


def log_in(
    house: House, *, name: str = "anna", password: str = PASSWORD, address: str = HERE.address
) -> NewSession:
    visitor = Visitor(address=address, user_agent=HERE.user_agent, request=HERE.request)
    return logins.log_in(house.portal, name=name, password=password, visitor=visitor, now=house.now)


def fail(house: House, **given: str) -> str:
    with pytest.raises(ServerError) as caught:
        log_in(house, password="wrong", **given)
    return caught.value.code


def find(house: House, begun: NewSession, *, counts: bool = True) -> SignedIn | None:
    return logins.find_signed_in(house.portal, begun.secret, visitor=HERE, now=house.now, counts=counts)


def test_who_knows_the_password_is_logged_in(anna: House) -> None:
    begun = log_in(anna, name=" Anna ")
    found = find(anna, begun)
    assert found is not None
    assert (found.user, found.role, found.session_id) == ("anna", Role.ADMIN, begun.signed_in.session_id)


def test_the_secret_is_another_each_time_and_not_in_the_database(anna: House) -> None:
    one, other = log_in(anna), log_in(anna)
    assert one.secret != other.secret
    stored = everything_in(anna.portal.database)
    assert one.secret not in stored
    assert hash_secret(one.secret) in stored
    assert one.secret not in repr(one)


@ONE_DATABASE
@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", PASSWORD), ("", ""), ("x" * 500, "x" * 500)]
)
def test_whatever_is_wrong_is_told_alike(anna: House, name: str, password: str) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        log_in(anna, name=name, password=password)
    assert caught.value.code == "login-wrong"
    assert "name and this password" in caught.value.message


@ONE_DATABASE
@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_after_five_each_wrong_password_for_a_name_costs_a_wait_that_doubles(anna: House, name: str) -> None:
    waits_s = []
    for number in range(9):
        assert fail(anna, name=name, address=f"192.0.2.{number}") == "login-wrong"
        with anna.portal.database.read() as session:
            waits_s.append(guesses.wait_left_s(session, guesses_of(name), now=anna.now))
        anna.tick(seconds=waits_s[-1])
    assert waits_s == [0, 0, 0, 0, 0, 2, 3, 5, 9]


def test_while_somebody_waits_not_even_the_right_password_is_looked_at(anna: House) -> None:
    for _ in range(6):
        assert fail(anna) == "login-wrong"
    with pytest.raises(Throttled) as caught:
        log_in(anna)
    assert caught.value.code == "login-delayed"
    anna.tick(seconds=caught.value.retry_after_s)
    assert log_in(anna).signed_in.user == "anna"


@ONE_DATABASE
def test_one_address_cannot_try_many_names(anna: House) -> None:
    codes = [fail(anna, name=f"name-{number}") for number in range(8)]
    assert codes == ["login-wrong"] * 6 + ["login-delayed"] * 2


@ONE_DATABASE
def test_the_right_password_forgives_the_name_and_not_the_address(anna: House) -> None:
    for _ in range(5):
        fail(anna)
    log_in(anna)
    assert fail(anna, address="198.51.100.1") == "login-wrong"
    assert log_in(anna, address="198.51.100.1").signed_in.user == "anna"  # the first after five is free again
    assert fail(anna) == "login-wrong"
    assert fail(anna, name="other") == "login-delayed"


@ONE_DATABASE
def test_a_wrong_password_is_in_the_audit_and_what_was_typed_for_a_name_is_not(anna: House) -> None:
    fail(anna)
    fail(anna, name="my-password-in-the-wrong-field")
    with anna.portal.database.read() as session:
        failed = [one for one in audit.list_audit(session) if one.action == "login-failed"]
    assert [(one.subject, one.actor.name, one.actor.address) for one in failed] == [
        ("anna", "visitor", "192.0.2.1"),
        ("unknown user", "visitor", "192.0.2.1"),
    ]
    assert failed[0].actor.request == "req_x"
    with anna.portal.database.read() as session:
        told = "".join(one.details + one.subject for one in audit.list_audit(session))
    assert "my-password" not in told


@ONE_DATABASE
def test_a_session_ends_at_its_time_whatever_happens(anna: House) -> None:
    begun, ends = log_in(anna), anna.now + timedelta(seconds=anna.portal.settings.session_s)
    while anna.now < ends - timedelta(hours=7):
        anna.tick(hours=7)
        assert find(anna, begun) is not None
    anna.now = ends
    assert find(anna, begun) is None


@ONE_DATABASE
def test_a_session_ends_when_nobody_is_seen_for_too_long(anna: House) -> None:
    begun = log_in(anna)
    anna.tick(seconds=anna.portal.settings.session_idle_s - 1)
    assert find(anna, begun, counts=False) is not None
    anna.tick()
    assert find(anna, begun) is None


def seen(house: House, begun: NewSession) -> datetime:
    with house.portal.database.read() as session:
        found = sessions.find_with_role(session, hash_secret(begun.secret))
    assert found is not None
    return found[0].seen


def test_who_is_seen_is_written_once_a_minute(anna: House) -> None:
    begun, began = log_in(anna), anna.now
    anna.tick(seconds=59)
    with counted(anna.portal.database) as statements:
        find(anna, begun)
    assert (seen(anna, begun), len(statements)) == (began, 1)
    anna.tick()
    find(anna, begun)
    assert seen(anna, begun) == anna.now


@ONE_DATABASE
@pytest.mark.parametrize("secret", ["", "x", "x" * 10_000, "\udcff", "engineshed-session-aaaa"])
def test_a_cookie_that_is_none_is_nobodys(anna: House, secret: str) -> None:
    assert logins.find_signed_in(anna.portal, secret, visitor=HERE, now=anna.now) is None


def test_who_logs_out_is_out_and_the_others_stay(anna: House) -> None:
    here, there = log_in(anna), log_in(anna)
    logins.log_out(anna.portal, here.signed_in, visitor=HERE, now=anna.now)
    logins.log_out(anna.portal, here.signed_in, visitor=HERE, now=anna.now)
    assert find(anna, here) is None
    assert find(anna, there) is not None
    assert anna.audited().count("logout") == 1


def test_a_user_sees_and_ends_his_own_sessions_and_nobody_elses(anna: House) -> None:
    users.create_user(anna.portal, name="bert", password=PASSWORD, role=Role.OWNER, actor=ACTOR, now=anna.now)
    mine, his = log_in(anna), log_in(anna, name="bert")
    assert [one.session_id for one in logins.list_sessions(anna.portal, mine.signed_in, now=anna.now)] == [
        mine.signed_in.session_id
    ]
    with pytest.raises(NotFound) as caught:
        logins.revoke_session(
            anna.portal, mine.signed_in, his.signed_in.session_id, visitor=HERE, now=anna.now
        )
    assert caught.value.code == "session-not-found"
    logins.revoke_session(anna.portal, his.signed_in, his.signed_in.session_id, visitor=HERE, now=anna.now)
    assert find(anna, his) is None


def test_ended_sessions_are_not_listed_and_then_forgotten(anna: House) -> None:
    old = log_in(anna)
    anna.tick(seconds=anna.portal.settings.session_idle_s)
    new = log_in(anna)
    assert len(logins.list_sessions(anna.portal, new.signed_in, now=anna.now)) == 1
    logins.forget_sessions(anna.portal, now=anna.now)
    with anna.portal.database.read() as session:
        left = sessions.list_of_user(session, "anna")
    assert [one.session_id for one in left] == [new.signed_in.session_id]
    assert old.signed_in.session_id != new.signed_in.session_id


@ONE_DATABASE
def test_guessing_the_password_of_who_is_logged_in_is_counted_as_well(anna: House) -> None:
    who = log_in(anna).signed_in
    codes = []
    for _ in range(7):
        with pytest.raises(ServerError) as caught:
            logins.confirm_password(anna.portal, who, password="wrong", visitor=HERE, now=anna.now)
        codes.append(caught.value.code)
    assert codes == ["password-wrong"] * 6 + ["login-delayed"]


@ONE_DATABASE
def test_a_hash_of_older_costs_is_made_anew_at_the_next_login(
    anna: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything_in(anna.portal.database)
    assert "m=19456,t=2" in before
    monkeypatch.setattr("engineshed_server.services.passwords.is_outdated", lambda _: True)
    log_in(anna)
    after = everything_in(anna.portal.database)
    kept = [line for line in before.splitlines() if "argon2" in line]
    assert kept
    assert not any(line in after for line in kept)
    monkeypatch.undo()
    assert log_in(anna).signed_in.user == "anna"
