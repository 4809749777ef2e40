"""Who may see and do what: walked over every page, each role, with and without what it takes."""

from collections.abc import Iterator

import pytest
from flask import Flask

from engineshed_server.api.access import Access, Asker, find_access
from engineshed_server.domain.roles import Role
from tests.server.web.conftest import Site

SAFE = {"GET", "HEAD", "OPTIONS"}
# For visitors, and yet below the pages: these show or take a form of their own.
FOR_VISITORS = {"web.login.show_login", "web.login.log_in", "web.login.show_first_owner"} | {
    "web.login.make_first_owner",
    "web.theme.choose_theme",
    "static",
}


def pages_of(app: Flask) -> Iterator[tuple[str, str, str, Access]]:
    """Method, a path, endpoint and access of every route of the pages; what it names does not exist."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static" and not rule.endpoint.startswith("web."):
            continue
        access = find_access(app.view_functions[rule.endpoint])
        assert access is not None, rule.endpoint
        built = rule.build(dict.fromkeys(rule.arguments, "nothing"))
        assert built is not None
        methods = rule.methods or set()
        for method in sorted(methods - {"HEAD"} if "GET" in methods else methods):
            yield method, built[1], rule.endpoint, access


def test_the_pages_for_visitors_are_those_and_no_other(site: Site) -> None:
    found = {endpoint for _, _, endpoint, access in pages_of(site.app) if access.asker is Asker.ANYBODY}
    assert found == FOR_VISITORS


def test_every_other_page_says_what_a_person_must_be(site: Site) -> None:
    roles = [access.role for _, _, endpoint, access in pages_of(site.app) if endpoint not in FOR_VISITORS]
    assert len(roles) > 8
    assert None not in roles


def test_a_visitor_is_sent_to_the_login_and_comes_back(site: Site) -> None:
    answer = site.visit().get("/account?x=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/account?x%3D1")


@pytest.mark.parametrize("role", [None, *Role])
def test_each_page_lets_in_who_may_and_nobody_else(site: Site, role: Role | None) -> None:
    browser = site.visit() if role is None else site.log_in(role)
    wrong = []
    for method, path, endpoint, access in pages_of(site.app):
        if endpoint in FOR_VISITORS or endpoint == "web.login.log_out":
            continue
        answer = browser.http.open(path, method=method, headers={"Accept": "text/html"})
        to_login = answer.headers.get("Location", "").startswith("/login") or answer.status_code == 401
        let_in = not to_login and answer.status_code != 403
        assert access.role is not None
        if let_in != (role is not None and role.covers(access.role)):
            wrong.append(f"{method} {path}: {answer.status_code}")
    assert wrong == []


def test_every_unsafe_route_that_takes_the_cookie_refuses_who_has_no_token(site: Site) -> None:
    owner = site.log_in(Role.OWNER)
    seen = []
    for method, path, _, _ in pages_of(site.app):
        if method in SAFE:
            continue
        answer = owner.http.open(path, method=method)
        seen.append(path)
        assert (answer.status_code, "form-stale" in answer.text) == (400, True), f"{method} {path}"
    assert len(seen) > 8
    assert owner.get("/account").status_code == 200  # nobody was logged out on the way


def test_a_token_of_another_login_is_refused(site: Site) -> None:
    one, other = site.log_in(Role.OWNER), site.log_in(Role.OWNER, name="other")
    answer = one.http.post("/logout", data={"csrf_token": other.token()})
    assert answer.status_code == 400


def test_a_token_from_before_the_login_is_refused_after_it(site: Site) -> None:
    browser = site.visit()
    before = browser.token("/login")
    site.add_user("anna")
    browser.post("/login", page="/login", name="anna", password="four words in a row")
    assert browser.cookie() is not None
    assert browser.http.post("/logout", data={"csrf_token": before}).status_code == 400


def test_the_token_may_come_in_a_header(site: Site) -> None:
    viewer = site.log_in(Role.VIEWER)
    answer = viewer.http.post("/logout", headers={"X-CSRFToken": viewer.token()})
    assert answer.status_code == 303


def test_routes_for_tokens_ignore_the_cookie(site: Site) -> None:
    owner = site.log_in(Role.OWNER)
    seen = 0
    for rule in site.app.url_map.iter_rules():
        access = find_access(site.app.view_functions[rule.endpoint])
        if access is None or access.asker in (Asker.ANYBODY, Asker.PERSON):
            continue
        built = rule.build(dict.fromkeys(rule.arguments, "nothing"))
        assert built is not None
        for method in rule.methods or set():
            seen += 1
            headers = {"X-CSRFToken": owner.token()}
            afar = {"REMOTE_ADDR": "192.0.2.1"}  # this host itself may look at the metrics
            answer = owner.http.open(built[1], method=method, headers=headers, environ_overrides=afar)
            assert answer.status_code == 401, rule
    assert seen > 20


def test_what_is_no_page_answers_the_same_whoever_is_logged_in(site: Site) -> None:
    """Also what takes no token at all, as joining: the cookie counts on pages alone."""
    owner, visitor = site.log_in(Role.OWNER), site.visit()
    of_pages = {endpoint for _, _, endpoint, _ in pages_of(site.app)}
    seen = 0
    for rule in site.app.url_map.iter_rules():
        if rule.endpoint in of_pages:
            continue
        built = rule.build(dict.fromkeys(rule.arguments, "nothing"))
        assert built is not None
        for method in (rule.methods or set()) - SAFE:
            seen += 1
            with_it, without = (one.http.open(built[1], method=method) for one in (owner, visitor))
            assert with_it.status_code == without.status_code >= 400, (method, rule)
            assert "Set-Cookie" not in with_it.headers, rule
    assert seen > 20


def test_an_api_token_opens_no_page(site: Site) -> None:
    answer = site.visit().get("/users", Authorization="Bearer engineshed-api-nothing")
    assert answer.headers["Location"].startswith("/login")


def test_the_form_that_was_refused_says_what_to_do(site: Site) -> None:
    answer = site.log_in(Role.OWNER).http.post("/users", data={"name": "anna"})
    assert answer.status_code == 400
    assert "reload the page" in answer.text
