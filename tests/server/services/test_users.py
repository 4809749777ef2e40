"""Users: made, changed, kept out; somebody who may decide about them is always left."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from engineshed_server.db import audit
from engineshed_server.domain.roles import Role
from engineshed_server.errors import Conflict, NotFound, ServerError
from engineshed_server.services import logins, users
from engineshed_server.services.logins import SignedIn, Visitor
from tests.server.databases import everything_in
from tests.server.portals import ACTOR, House

PASSWORD = "four words in a row"
OTHER = "other four words in a row"
VISITOR = Visitor(address="192.0.2.1")


def add(house: House, name: str, role: Role = Role.VIEWER) -> None:
    users.create_user(house.portal, name=name, password=PASSWORD, role=role, actor=ACTOR, now=house.now)


def log_in(house: House, name: str, password: str = PASSWORD) -> SignedIn:
    begun = logins.log_in(house.portal, name=name, password=password, visitor=VISITOR, now=house.now)
    return begun.signed_in


def sessions(house: House, who: SignedIn) -> int:
    return len(logins.list_sessions(house.portal, who, now=house.now))


def test_users_are_listed_by_name_without_their_passwords(house: House) -> None:
    for name in ("bert", "anna"):
        add(house, name)
    found = users.list_users(house.portal)
    assert [(one.name, one.role, one.disabled) for one in found] == [
        ("anna", Role.VIEWER, None),
        ("bert", Role.VIEWER, None),
    ]
    assert "argon2" not in repr(found)


def test_a_name_is_taken_once_whatever_its_case(house: House) -> None:
    add(house, "anna")
    with pytest.raises(Conflict) as caught:
        add(house, " ANNA ")
    assert caught.value.code == "user-exists"


def test_a_role_counts_from_the_next_request_on(house: House) -> None:
    add(house, "anna")
    begun = logins.log_in(house.portal, name="anna", password=PASSWORD, visitor=VISITOR, now=house.now)
    users.change_role(house.portal, "anna", role=Role.ADMIN, actor=ACTOR, now=house.now)
    found = logins.find_signed_in(house.portal, begun.secret, visitor=VISITOR, now=house.now)
    assert found is not None
    assert found.role is Role.ADMIN


def test_who_is_disabled_is_out_at_once_and_in_again_when_enabled(house: House) -> None:
    add(house, "anna")
    who = log_in(house, "anna")
    users.disable_user(house.portal, "anna", actor=ACTOR, now=house.now)
    assert sessions(house, who) == 0
    with pytest.raises(ServerError, match="do not belong together"):
        log_in(house, "anna")
    users.enable_user(house.portal, "anna", actor=ACTOR, now=house.now)
    assert log_in(house, "anna").user == "anna"


def test_a_new_password_ends_every_session_but_the_one_that_is_kept(house: House) -> None:
    add(house, "anna")
    here, there = log_in(house, "anna"), log_in(house, "anna")
    users.set_password(
        house.portal, "anna", password=OTHER, actor=ACTOR, now=house.now, keeps=here.session_id
    )
    assert [one.session_id for one in logins.list_sessions(house.portal, there, now=house.now)] == [
        here.session_id
    ]
    assert log_in(house, "anna", OTHER).user == "anna"
    with pytest.raises(ServerError, match="do not belong together"):
        log_in(house, "anna")


def test_a_new_password_lets_a_name_in_that_was_guessed_at(house: House) -> None:
    add(house, "anna")
    for number in range(7):
        with pytest.raises(ServerError):
            logins.log_in(
                house.portal,
                name="anna",
                password="wrong",
                visitor=Visitor(address=f"192.0.2.{number}"),
                now=house.now,
            )
    with pytest.raises(ServerError, match="too many wrong passwords"):
        log_in(house, "anna")
    users.set_password(house.portal, "anna", password=OTHER, actor=ACTOR, now=house.now)
    assert log_in(house, "anna", OTHER).user == "anna"


def test_the_last_owner_stays_one(house: House) -> None:
    add(house, "olga", Role.OWNER)
    with pytest.raises(Conflict) as caught:
        users.change_role(house.portal, "olga", role=Role.ADMIN, actor=ACTOR, now=house.now)
    assert caught.value.code == "user-last-owner"
    with pytest.raises(Conflict) as caught:
        users.disable_user(house.portal, "olga", actor=ACTOR, now=house.now)
    assert caught.value.code == "user-last-owner"
    add(house, "anna", Role.OWNER)
    users.disable_user(house.portal, "olga", actor=ACTOR, now=house.now)


def test_two_owners_who_disable_each_other_at_once_leave_one(house: House) -> None:
    for name in ("olga", "anna"):
        add(house, name, Role.OWNER)

    def disable(name: str) -> str:
        try:
            users.disable_user(house.portal, name, actor=ACTOR, now=house.now)
        except ServerError as err:
            return err.code
        return "done"

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(disable, ("olga", "anna")))
    assert told == ["done", "user-last-owner"]


def test_what_is_as_it_should_be_leaves_no_second_row_in_the_audit(house: House) -> None:
    add(house, "anna")
    for _ in range(2):
        users.disable_user(house.portal, "anna", actor=ACTOR, now=house.now)
        house.tick()
    assert house.audited().count("user-disabled") == 1


def test_a_change_is_told_with_before_and_after_and_no_secret(house: House) -> None:
    add(house, "anna")
    users.change_role(house.portal, "anna", role=Role.ADMIN, actor=ACTOR, now=house.now)
    with house.portal.database.read() as session:
        record = audit.list_audit(session)[-1]
    assert record.before is not None
    assert record.after is not None
    assert (json.loads(record.before)["role"], json.loads(record.after)["role"]) == ("viewer", "admin")
    assert "argon2" not in record.before + record.after


@pytest.mark.parametrize("verb", ["change_role", "disable_user", "enable_user", "set_password", "show_user"])
def test_an_unknown_user_is_told(house: House, verb: str) -> None:
    with pytest.raises(NotFound) as caught:
        match verb:
            case "change_role":
                users.change_role(house.portal, "anna", role=Role.ADMIN, actor=ACTOR, now=house.now)
            case "set_password":
                users.set_password(house.portal, "anna", password=OTHER, actor=ACTOR, now=house.now)
            case "show_user":
                users.show_user(house.portal, "anna")
            case _:
                getattr(users, verb)(house.portal, "anna", actor=ACTOR, now=house.now)
    assert caught.value.code == "user-not-found"


def test_no_password_is_in_the_database(house: House) -> None:
    add(house, "anna")
    assert PASSWORD not in everything_in(house.portal.database)
