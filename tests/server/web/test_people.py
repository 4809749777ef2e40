"""Users and Account: what is on these pages costs the same, however many users and sessions there are."""

from dataclasses import replace

from engineshed_server.db import users
from engineshed_server.domain.roles import Role
from engineshed_server.services import logins
from engineshed_server.services.logins import Visitor
from tests.server.statements import counted
from tests.server.web.conftest import PASSWORD, Browser, Site, now


def statements_of(site: Site, browser: Browser, path: str) -> list[str]:
    with counted(site.portal.database) as statements:
        assert browser.get(path).status_code == 200
    return statements


def test_a_page_of_many_users_asks_as_often_as_one_of_few(site: Site) -> None:
    owner = site.log_in(Role.OWNER)
    few = statements_of(site, owner, "/users")
    with site.portal.database.write() as session:
        one = users.find_user(session, "owner")
        assert one is not None
        for number in range(50):
            users.add_user(session, replace(one, name=f"user{number}", role=Role.VIEWER.value))
    many = statements_of(site, owner, "/users")
    assert "user49" in owner.get("/users").text
    assert len(few) == len(many) == 2, many


def test_a_page_of_many_sessions_asks_as_often_as_one_of_few(site: Site) -> None:
    viewer = site.log_in(Role.VIEWER)
    few = statements_of(site, viewer, "/account")
    for number in range(5):
        visitor = Visitor(address=f"192.0.2.{number}")
        logins.log_in(site.portal, name="viewer", password=PASSWORD, visitor=visitor, now=now())
    many = statements_of(site, viewer, "/account")
    assert "192.0.2.4" in viewer.get("/account").text
    assert len(few) == len(many) == 3, many
