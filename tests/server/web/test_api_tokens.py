"""The page API tokens: made, shown once, revoked; not for viewers."""

import re
from datetime import timedelta

import pytest

from engineshed_server.domain.roles import Role
from engineshed_server.services.api_tokens import ApiToken, Scope, create_api_token, newest_api_tokens
from engineshed_server.web.queries import PAGE_LINES
from tests.server.portals import ACTOR
from tests.server.statements import counted
from tests.server.web.conftest import Browser, Site, now


@pytest.fixture
def admin(site: Site) -> Browser:
    return site.log_in(Role.ADMIN)


def newest(site: Site) -> ApiToken:
    return newest_api_tokens(site.portal, limit=1).tokens[0]


def ask(site: Site, secret: str) -> int:
    return site.visit().get("/api/v1/engines", Authorization=f"Bearer {secret}").status_code


def test_a_token_is_shown_once_and_opens_the_api_until_it_is_revoked(site: Site, admin: Browser) -> None:
    page = admin.post("/tokens", name="nagios", scope="viewer", days="30").text
    found = re.search(r'<code id="secret">([^<]*)</code>', page)
    assert found is not None
    made = newest(site)
    assert (made.name, made.scope, made.expires) == (
        "nagios",
        Scope.VIEWER,
        made.created + timedelta(days=30),
    )
    assert ask(site, found[1]) == 200
    assert found[1] not in admin.get("/tokens").text
    admin.post(f"/tokens/{made.token_id}/revoke")
    assert ask(site, found[1]) == 401
    assert "nagios is revoked" in admin.get("/tokens").text


def test_a_token_without_days_has_no_end(site: Site, admin: Browser) -> None:
    admin.post("/tokens", name="nagios", scope="support", days="")
    assert (newest(site).expires, newest(site).scope) == (None, Scope.SUPPORT)
    assert "when revoked" in admin.get("/tokens").text


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": "a\tb"}, {"scope": "owner"}, {"days": "0"}, {"days": "3661"}, {"days": "x"}],
)
def test_what_cannot_be_is_told_and_what_was_typed_is_still_there(
    site: Site, admin: Browser, wrong: dict[str, str]
) -> None:
    answer = admin.post("/tokens", **{"name": "nagios", "scope": "admin", "days": "77", **wrong})
    assert (answer.status_code, 'role="alert"' in answer.text) == (422, True)
    assert wrong.get("name") is not None or 'value="nagios"' in answer.text
    assert newest_api_tokens(site.portal, limit=1).tokens == ()


def test_a_viewer_is_not_shown_the_place(site: Site) -> None:
    viewer = site.log_in(Role.VIEWER)
    assert viewer.get("/tokens").status_code == 403
    assert 'href="/tokens"' not in viewer.get("/account").text


def test_the_list_is_paged_by_the_database(site: Site, admin: Browser) -> None:
    for number in range(PAGE_LINES + 1):
        create_api_token(site.portal, name=f"t{number}", scope=Scope.ADMIN, actor=ACTOR, now=now())
    with counted(site.portal.database) as statements:
        page = admin.get("/tokens").text
    assert len(statements) == 2, statements
    assert page.count("Revoke token") == PAGE_LINES
    following = re.search(r'href="([^"]*)" rel="next"', page)
    assert following is not None
    last = admin.get(following[1].replace("&amp;", "&")).text
    assert (last.count("Revoke token"), ">t0<" in last) == (1, True)
