"""A portal and browsers without a window: logged in by role, sending forms as pages do.

def test_…(site: Site) -> None:
    owner = site.log_in(Role.OWNER)
    page = owner.get("/users")
    owner.post("/users", name="anna", …)
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engineshed_server.app import create_app
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import Role
from engineshed_server.services import logins, users
from engineshed_server.services.logins import Visitor
from engineshed_server.services.portal import Portal
from tests.server.portals import House

PASSWORD = "four words in a row"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
LOGIN = "engineshed_login"


class Browser:
    """A browser as far as HTTP goes: keeps cookies, sends forms with the token of the page they were on."""

    def __init__(self, app: Flask) -> None:
        self.http: FlaskClient = app.test_client()

    def get(self, path: str, **headers: str) -> TestResponse:
        named = {"Accept": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.http.get(path, headers=named)

    def post(self, path: str, *, page: str = "/account", **fields: str) -> TestResponse:
        """Sends the form with the token found on *page*."""
        return self.http.post(path, data={"csrf_token": self.token(page), **fields})

    def token(self, page: str = "/account") -> str:
        """The token of the forms on *page*."""
        found = _TOKEN.search(self.get(page).text)
        assert found is not None, page
        return found[1]

    def cookie(self, name: str = LOGIN) -> str | None:
        found = self.http.get_cookie(name)
        return None if found is None else found.value


@dataclass
class Site:
    """The pages of a portal."""

    house: House
    app: Flask

    @property
    def portal(self) -> Portal:
        return self.house.portal

    def visit(self) -> Browser:
        """A browser in which nobody is logged in."""
        return Browser(self.app)

    def add_user(self, name: str, role: Role = Role.VIEWER) -> None:
        users.create_user(
            self.portal, name=name, password=PASSWORD, role=role, actor=Actor("test"), now=datetime.now(UTC)
        )

    def log_in(self, role: Role, *, name: str | None = None) -> Browser:
        """A browser in which a new user with that role is logged in; his name is the role's by default."""
        known_as = role.value if name is None else name
        self.add_user(known_as, role)
        browser = self.visit()
        begun = logins.log_in(
            self.portal, name=known_as, password=PASSWORD, visitor=Visitor(address="192.0.2.1"), now=now()
        )
        browser.http.set_cookie(LOGIN, begun.secret)
        return browser


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def site(house: House) -> Site:
    return Site(house, create_app(house.portal))
