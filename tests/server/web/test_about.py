"""The page About."""

import html
from datetime import timedelta

import pytest
import time_machine

from engineshed_packages import __version__
from engineshed_server.domain.roles import Role
from engineshed_server.services.about import show_about
from engineshed_server.web.assets import list_vendored
from tests.server.statements import counted
from tests.server.web.conftest import Browser, Site, now


@pytest.fixture
def viewer(site: Site) -> Browser:
    return site.log_in(Role.VIEWER)


def test_it_tells_what_the_portal_stands_on(site: Site, viewer: Browser) -> None:
    page = viewer.get("/about").text
    about = show_about(site.portal, now=now())
    for told in (__version__, about.python, about.database, about.portal_id, "No bundle was published yet"):
        assert told in page
    for part in list_vendored():
        assert f"<tr><td>{part.name}</td><td>{part.version}</td><td>{part.licence}</td></tr>" in page


def test_it_warns_of_roles_that_end_soon_and_of_those_that_have(site: Site, viewer: Browser) -> None:
    site.house.publish("1.0.0")
    roles = {role.name: role for role in show_about(site.portal, now=now()).roles}
    ends = roles["timestamp"].expires
    with time_machine.travel(ends - timedelta(hours=1), tick=False):
        page = site.log_in(Role.VIEWER, name="anna").get("/about").text
        assert "ends soon" in page
        assert "expired</span>" not in page
    with time_machine.travel(ends, tick=False):
        page = site.log_in(Role.VIEWER, name="bert").get("/about").text
        assert "expired</span>" in page


def test_damaged_metadata_is_told(site: Site, viewer: Browser) -> None:
    site.house.publish("1.0.0")
    (site.portal.metadata.folder / "timestamp.json").write_text("{")
    page = viewer.get("/about").text
    assert 'role="alert"' in page
    assert "timestamp.json" in html.unescape(page)


def test_two_statements_make_it(site: Site, viewer: Browser) -> None:
    site.house.publish("1.0.0")
    with counted(site.portal.database) as statements:
        viewer.get("/about")
    assert len(statements) == 2, statements
