"""The link that makes an owner: once, within a day, and only the newest."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from engineshed_server.domain.roles import Role
from engineshed_server.errors import ServerError
from engineshed_server.services import logins, owner_links, users
from engineshed_server.services.logins import NewSession, Visitor
from tests.server.databases import everything_in
from tests.server.portals import ACTOR, House

PASSWORD = "four words in a row"
HERE = Visitor(address="192.0.2.1")


def make(house: House) -> str:
    """The code of a new link."""
    made = owner_links.create_owner_link(house.portal, actor=ACTOR, now=house.now)
    return made.address.partition("#")[2]


def redeem(house: House, code: str, *, name: str = "olga", password: str = PASSWORD) -> NewSession:
    return owner_links.redeem_owner_link(
        house.portal, code=code, name=name, password=password, visitor=HERE, now=house.now
    )


def refused(house: House, code: str, **given: str) -> str:
    with pytest.raises(ServerError) as caught:
        redeem(house, code, **given)
    return caught.value.code


def test_its_holder_is_an_owner_and_logged_in(house: House) -> None:
    begun = redeem(house, make(house))
    assert logins.find_signed_in(house.portal, begun.secret, visitor=HERE, now=house.now) is not None
    assert [(one.name, one.role) for one in users.list_users(house.portal)] == [("olga", Role.OWNER)]


def test_its_secret_stands_behind_the_address_and_is_stored_as_a_hash(house: House) -> None:
    made = owner_links.create_owner_link(house.portal, actor=ACTOR, now=house.now)
    address, _, code = made.address.partition("#")
    assert address == "http://127.0.0.1:8080/first-owner"
    assert code.startswith("engineshed-owner-")
    assert code not in everything_in(house.portal.database)
    assert code not in repr(made)


def test_it_is_good_once(house: House) -> None:
    code = make(house)
    redeem(house, code)
    assert refused(house, code, name="anna") == "owner-link-unknown"


def test_two_who_use_it_at_once_make_one_owner(house: House) -> None:
    code = make(house)

    def use(name: str) -> str:
        try:
            return redeem(house, code, name=name).signed_in.user
        except ServerError as err:
            return err.code

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(use, ("anna", "bert")))
    assert "owner-link-unknown" in told
    assert len(users.list_users(house.portal)) == 1


def test_it_ends_after_a_day(house: House) -> None:
    code = make(house)
    house.tick(seconds=owner_links.LIFE / timedelta(seconds=1))
    assert refused(house, code) == "owner-link-unknown"


def test_the_one_before_is_good_for_nothing(house: House) -> None:
    before, code = make(house), make(house)
    assert refused(house, before) == "owner-link-unknown"
    redeem(house, code)


def test_a_mistake_does_not_use_it_up(house: House) -> None:
    code = make(house)
    redeem(house, code)
    code = make(house)
    assert refused(house, code) == "user-exists"
    assert refused(house, code, name="a b") == "user-name"
    assert refused(house, code, name="anna", password="short") == "password-weak"
    redeem(house, code, name="anna")


def test_guesses_wait_and_whoever_has_it_does_not(house: House) -> None:
    code = make(house)
    codes = [refused(house, f"guess-{number}") for number in range(8)]
    assert codes == ["owner-link-unknown"] * 6 + ["login-delayed"] * 2
    assert house.audited().count("owner-link-failed") == 6
    redeem(house, code)
