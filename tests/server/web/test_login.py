"""Logging in and out over HTTP: cookies, where it goes on, what is said when it fails."""

import re
from pathlib import Path

import pytest
import time_machine

from engineshed_server.app import create_app
from engineshed_server.domain.roles import Role
from engineshed_server.services.owner_links import create_owner_link
from tests.server.portals import ACTOR, MakePortal
from tests.server.web.conftest import PASSWORD, Browser, Site, now


@pytest.fixture
def anna(site: Site) -> Site:
    site.add_user("anna", Role.OWNER)
    return site


def log_in(browser: Browser, password: str = PASSWORD, **fields: str) -> tuple[int, str]:
    answer = browser.post("/login", page="/login", name="anna", password=password, **fields)
    return answer.status_code, answer.headers.get("Location", "")


def test_who_logs_in_goes_on_where_he_was_going_to(anna: Site) -> None:
    assert log_in(anna.visit(), next="/account?x=1") == (303, "/account?x=1")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "",
    ],
)
def test_nobody_is_sent_to_another_host(anna: Site, address: str) -> None:
    assert log_in(anna.visit(), next=address) == (303, "/")


def test_each_login_gives_another_cookie(anna: Site) -> None:
    browser = anna.visit()
    browser.http.set_cookie("engineshed_login", "chosen-by-somebody-else")
    log_in(browser)
    first = browser.cookie()
    browser.post("/logout")
    log_in(browser)
    assert len({first, browser.cookie(), "chosen-by-somebody-else"}) == 3


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(anna: Site) -> None:
    answer = anna.visit().post("/login", page="/login", name="anna", password=PASSWORD)
    cookies = answer.headers.getlist("Set-Cookie")
    (login,) = [one for one in cookies if one.startswith("engineshed_login=")]
    assert "HttpOnly" in login
    assert "SameSite=Lax" in login
    assert "Secure" not in login  # the portal's address is plain http
    assert all("HttpOnly" in one and "SameSite=Lax" in one for one in cookies)


def test_under_https_the_cookies_are_for_this_host_and_encrypted_lines_only(make_portal: MakePortal) -> None:
    house = make_portal(portal__public_url="https://portal.example")
    site = Site(house, create_app(house.portal))
    site.add_user("anna")
    browser = site.visit()
    https = {"base_url": "https://portal.example"}
    page = browser.http.get("/login", **https).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    fields = {"csrf_token": found[1], "name": "anna", "password": PASSWORD}
    answer = browser.http.post("/login", data=fields, headers={"Referer": "https://portal.example/"}, **https)
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all(one.startswith("__Host-") and "Secure" in one and "Domain" not in one for one in cookies)


def test_a_wrong_password_is_told_without_saying_what_was_wrong(anna: Site) -> None:
    told = set()
    for name, password in (("anna", "something else 1"), ("nobody", PASSWORD)):
        answer = anna.visit().post("/login", page="/login", name=name, password=password)
        assert answer.status_code == 401
        told.update(re.findall(r'<p class="flash bad"[^>]*>([^<]*)', answer.text))
    assert len(told) == 1


def test_a_password_is_in_no_answer(anna: Site) -> None:
    answer = anna.visit().post("/login", page="/login", name="anna", password="something else 1")
    assert "something else 1" not in answer.text


def test_after_logging_out_the_cookie_is_good_for_nothing(anna: Site) -> None:
    browser = anna.visit()
    log_in(browser)
    kept = browser.cookie()
    assert kept is not None
    browser.post("/logout")
    assert browser.cookie() is None
    browser.http.set_cookie("engineshed_login", kept)
    assert browser.get("/account").status_code == 303


def test_too_many_wrong_passwords_are_answered_with_a_wait(anna: Site) -> None:
    browser = anna.visit()
    statuses = [log_in(browser, "something else 1")[0] for _ in range(8)]
    assert statuses == [401] * 6 + [429] * 2
    answer = browser.post("/login", page="/login", name="anna", password=PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1


def test_who_was_away_too_long_logs_in_again(anna: Site) -> None:
    browser = anna.visit()
    with time_machine.travel(now(), tick=False) as clock:
        log_in(browser)
        clock.shift(anna.portal.settings.session_idle_s - 1)
        assert browser.get("/account").status_code == 200
        clock.shift(anna.portal.settings.session_idle_s)
        assert browser.get("/account").headers["Location"].startswith("/login")


def test_a_part_of_a_page_that_looks_anew_keeps_nobody_logged_in(anna: Site) -> None:
    browser = anna.visit()
    with time_machine.travel(now(), tick=False) as clock:
        log_in(browser)
        for _ in range(2):
            clock.shift(anna.portal.settings.session_idle_s // 2 + 1)
            answer = browser.get(
                "/account?x=1", HX_Request="true", HX_Current_URL="http://localhost/account?x=1"
            )
        assert answer.headers["HX-Redirect"] == "/login?next=/account?x%3D1"


def test_the_owner_link_makes_an_owner_who_is_logged_in(site: Site) -> None:
    link = create_owner_link(site.portal, actor=ACTOR, now=now())
    address, _, code = link.address.partition("#")
    assert address.endswith("/first-owner")
    browser = site.visit()
    answer = browser.post(
        "/first-owner", page="/first-owner", code=code, name="Anna", password=PASSWORD, again=PASSWORD
    )
    assert answer.headers["Location"] == "/"
    assert "anna is an owner of this portal now." in browser.get("/users").text


def test_a_link_that_was_used_is_none(site: Site) -> None:
    code = create_owner_link(site.portal, actor=ACTOR, now=now()).address.partition("#")[2]
    fields = {"code": code, "password": PASSWORD, "again": PASSWORD}
    statuses = [
        site.visit().post("/first-owner", page="/first-owner", name=name, **fields).status_code
        for name in ("anna", "bert")
    ]
    assert statuses == [303, 401]


def test_who_types_two_passwords_is_told_and_has_the_rest_still_there(site: Site) -> None:
    code = create_owner_link(site.portal, actor=ACTOR, now=now()).address.partition("#")[2]
    answer = site.visit().post(
        "/first-owner", page="/first-owner", code=code, name="anna", password=PASSWORD, again="x"
    )
    assert answer.status_code == 422
    assert f'value="{code}"' in answer.text


def test_no_secret_of_a_login_is_in_the_database(anna: Site, tmp_path: Path) -> None:
    browser = anna.visit()
    log_in(browser)
    code = create_owner_link(anna.portal, actor=ACTOR, now=now()).address.partition("#")[2]
    secret = browser.cookie()
    assert secret is not None
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("engineshed.db*"))
    assert b"login-failed" in stored or b"login" in stored
    assert [one for one in (secret, code, PASSWORD) if one.encode() in stored] == []
