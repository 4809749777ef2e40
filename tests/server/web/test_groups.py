"""Groups and channels on their page: made, shown with their engines, moved, forgotten."""

from __future__ import annotations

import re

import pytest

from engineshed_server.domain.roles import Role
from engineshed_server.services import engines, placing
from tests.server.portals import ACTOR
from tests.server.statements import counted
from tests.server.web.conftest import Browser, Site


@pytest.fixture
def admin(site: Site) -> Browser:
    return site.log_in(Role.ADMIN)


def send(admin: Browser, path: str, **fields: str) -> str:
    answer = admin.post(path, **fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/groups"), answer.text
    return admin.get("/groups").text


def test_a_group_is_made_filled_emptied_and_forgotten(site: Site, admin: Browser) -> None:
    engine = site.house.enrol(group="north").engine
    page = send(admin, "/groups", group="south")
    assert "There is a group south now" in page
    page = send(admin, "/groups/north/move", to="south")
    assert "Engines moved from group north to south: 1." in page
    assert engines.show_engine(site.portal, engine).line.group == "south"
    assert 'href="/engines?group=south">1<' in page
    send(admin, "/groups", group="north")
    assert 'action="/groups/north/forget"' in admin.get("/groups").text
    assert "/engines?group=north" not in send(admin, "/groups/north/forget")


def test_a_channel_is_made_and_a_group_follows_it(site: Site, admin: Browser) -> None:
    engine = site.house.enrol(group="north").engine
    send(admin, "/channels", channel="beta")
    send(admin, "/groups/north/channel", to="beta")
    assert engines.show_engine(site.portal, engine).line.channel == "beta"
    page = send(admin, "/channels/beta/move", to="stable")
    assert "Engines moved from channel beta to stable: 1." in page
    assert "/engines?channel=beta" not in send(admin, "/channels/beta/forget")


def test_a_name_that_is_none_is_shown_again_with_the_reason(admin: Browser) -> None:
    for path, field in (("/groups", "group"), ("/channels", "channel")):
        answer = admin.post(path, **{field: "<b>No</b>"})
        assert answer.status_code == 422
        assert 'value="&lt;b&gt;No&lt;/b&gt;"' in answer.text
        assert "<b>No" not in answer.text


def test_who_only_looks_is_shown_nothing_to_do(site: Site) -> None:
    site.house.enrol()
    page = site.log_in(Role.VIEWER).get("/groups").text
    assert set(re.findall(r'<form[^>]*action="([^"]+)"', page)) == {"/logout", "/theme"}


def test_the_statements_do_not_grow_with_the_groups(site: Site, admin: Browser) -> None:
    seen = []
    for number in range(2):
        placing.create_group(site.portal, f"more-{number}", actor=ACTOR, now=site.house.now)
        site.house.enrol(group=f"group-{number}")
        with counted(site.portal.database) as statements:
            admin.get("/groups")
        seen.append(len(statements))
    assert seen[0] == seen[1] <= 10, seen
