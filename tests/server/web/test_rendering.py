"""What every page has: headers, no script or style of its own, nothing from elsewhere."""

import re

import pytest

from engineshed_server.domain.roles import Role
from engineshed_server.web.rendering import POLICY
from tests.server.web.conftest import Site
from tests.server.web.test_access import pages_of

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def shown(site: Site) -> dict[str, str]:
    """Every page an owner can see, and those for visitors, by path."""
    owner = site.log_in(Role.OWNER)
    found = {}
    for method, path, endpoint, _ in pages_of(site.app):
        if method == "GET" and endpoint != "static":
            browser = site.visit() if endpoint.startswith("web.login.") else owner
            answer = browser.get(path)
            assert answer.headers["Content-Security-Policy"] == POLICY, path
            assert answer.headers["Cache-Control"] == "no-store", path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            assert answer.headers["Referrer-Policy"] == "same-origin", path
            found[path] = answer.text
    return found


def test_no_page_has_a_script_or_a_style_of_its_own(shown: dict[str, str]) -> None:
    assert len(shown) >= 5
    for path, text in shown.items():
        assert re.findall(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", text) == [], path


def test_no_page_names_anything_elsewhere(shown: dict[str, str]) -> None:
    for path, text in shown.items():
        assert re.findall(r'(?:src|href|action)="(?!/|#)[^"]*"', text) == [], path


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    words = {word for part in POLICY.split("; ") for word in part.split()[1:]}
    assert words == {"'none'", "'self'"}
    assert POLICY.startswith("default-src 'none'")


def test_an_address_where_nothing_is_has_a_page_for_people_and_json_for_programs(site: Site) -> None:
    page, told = site.visit().get("/nowhere"), site.visit().http.get("/nowhere")
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert (told.status_code, told.mimetype) == (404, "application/problem+json")


def test_the_api_tells_its_errors_in_json_whatever_a_browser_accepts(site: Site) -> None:
    for path in ("/api/v1/engines", "/api/v1/nowhere"):
        assert site.visit().get(path).mimetype == "application/problem+json"


def test_a_name_that_is_html_is_shown_as_text(site: Site) -> None:
    owner = site.log_in(Role.OWNER)
    owner.get("/account", User_Agent=HOSTILE)
    answer = owner.post("/users", name=HOSTILE, role="viewer", password="four words in a row")
    assert answer.status_code == 422
    assert "<img src=x" not in answer.text
    assert "&lt;img src=x" in answer.text


def test_a_browser_that_calls_itself_html_is_shown_as_text(site: Site) -> None:
    site.add_user("anna")
    browser = site.visit()
    token = browser.token("/login")
    fields = {"csrf_token": token, "name": "anna", "password": "four words in a row"}
    browser.http.post("/login", data=fields, headers={"User-Agent": HOSTILE})
    page = browser.get("/account").text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_the_chosen_theme_is_kept_in_the_browser(site: Site) -> None:
    browser = site.visit()
    assert 'data-theme="auto"' in browser.get("/login").text
    answer = browser.post("/theme", page="/login", theme="dark", next="/login?next=/users")
    assert answer.headers["Location"] == "/login?next=/users"
    assert 'data-theme="dark"' in browser.get("/login").text


def test_a_form_that_is_too_large_is_refused(site: Site) -> None:
    browser = site.visit()
    answer = browser.post("/login", page="/login", name="x" * 100_000, password="x")
    assert (answer.status_code, "form-too-large" in answer.text) == (413, True)
