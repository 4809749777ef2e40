"""The page Enrolment: tokens made, shown once and revoked; engines that wait let in or refused."""

import re
from datetime import timedelta
from html import unescape

import pytest

from engineshed_packages.enrolment import EnrolLine
from engineshed_server.domain.roles import Role
from engineshed_server.services import engines, enrol_tokens
from engineshed_server.services.enrol_tokens import EnrolToken
from engineshed_server.web.queries import PAGE_LINES
from tests.server.portals import enrol_request
from tests.server.statements import counted
from tests.server.web.conftest import Browser, Site, now

TERMS = {"name": "Berlin", "group": "berlin", "uses": "20", "days": "7"}


@pytest.fixture
def admin(site: Site) -> Browser:
    return site.log_in(Role.ADMIN)


def newest(site: Site) -> EnrolToken:
    return enrol_tokens.newest_enrol_tokens(site.portal, now=now(), limit=1).tokens[0]


def join(site: Site, token: str) -> int:
    body = enrol_request(token).to_bytes()
    return site.visit().http.post("/api/v1/enrol", data=body, content_type="application/json").status_code


def state_of(site: Site, engine_id: str) -> str:
    return engines.show_engine(site.portal, engine_id).line.state


def test_a_token_is_made_on_the_terms_that_were_typed(site: Site, admin: Browser) -> None:
    more = {"product": "engine", "networks": "10.0.0.0/8, 192.0.2.1\n2001:db8::/32", "needs_approval": "yes"}
    assert admin.post("/enrolment/tokens", **TERMS, **more).status_code == 200
    made = newest(site)
    assert (made.name, made.group, made.product, made.uses) == ("Berlin", "berlin", "engine", 20)
    assert made.networks == ("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32")
    assert made.needs_approval
    assert made.expires - made.created == timedelta(days=7)


def test_its_line_is_shown_once_and_is_the_one_that_joins(site: Site, admin: Browser) -> None:
    page = admin.post("/enrolment/tokens", **TERMS).text
    found = re.search(r'<code id="line">([^<]*)</code>', page)
    assert found is not None
    line = EnrolLine.parse(unescape(found[1]))
    assert line.token not in admin.get("/enrolment").text
    assert join(site, line.token) == 200


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"uses": "many"}, "field-number"),
        ({"uses": "0"}, "0 uses"),
        ({"days": "367"}, "1 to 31622400 seconds"),
        ({"group": "Not a group!"}, "Not a group!"),
        ({"networks": "10.0.0.0/99"}, "10.0.0.0/99"),
        ({"replaces": "eng_nothing"}, "eng_nothing"),
        ({"product": "../x"}, "../x"),
    ],
)
def test_terms_that_cannot_be_are_told_and_what_was_typed_is_still_there(
    admin: Browser, wrong: dict[str, str], told: str
) -> None:
    answer = admin.post("/enrolment/tokens", **{**TERMS, **wrong, "needs_approval": "yes"})
    assert answer.status_code in (404, 422)
    assert told in unescape(answer.text) or told == "field-number"
    assert 'value="Berlin"' in answer.text
    assert 'value="yes" checked' in answer.text


def test_an_engines_page_leads_to_a_token_for_its_place(site: Site, admin: Browser) -> None:
    engine = site.house.enrol().engine
    address = f"/enrolment?replaces={engine}"
    assert f'href="{address}"' in admin.get(f"/engines/{engine}").text
    assert f'name="replaces" value="{engine}"' in admin.get(address).text
    made = admin.post("/enrolment/tokens", group="default", uses="1", days="1", replaces=engine)
    assert f'In the place of</dt><dd class="mono">{engine}<' in made.text
    assert newest(site).replaces == engine


def test_a_token_that_is_revoked_lets_nobody_join(site: Site, admin: Browser) -> None:
    token = site.house.token()
    page = admin.post(f"/enrolment/tokens/{newest(site).token_id}/revoke").headers["Location"]
    assert '<span class="badge bad">revoked</span>' in admin.get(page).text
    assert join(site, token) == 401


def test_each_token_is_shown_with_its_state(site: Site, admin: Browser) -> None:
    site.house.enrol()
    site.house.tick()
    site.house.token(uses=3)
    shown = re.findall(r'class="badge [a-z]*">([a-z]+)<', admin.get("/enrolment").text)
    assert shown == ["good", "used"]


def test_engines_that_wait_are_approved_and_rejected(site: Site, admin: Browser) -> None:
    waiting = [site.house.enrol(needs_approval=True).engine for _ in range(3)]
    page = admin.get("/enrolment").text
    assert {one for one in waiting if f'name="engine" value="{one}"' in page} == set(waiting)
    token = admin.token("/enrolment")
    admin.http.post("/enrolment/approve", data={"csrf_token": token, "engine": waiting[:2]})
    assert "2 engines are approved." in admin.get("/enrolment").text
    admin.http.post("/enrolment/reject", data={"csrf_token": token, "engine": waiting[2:]})
    assert "1 engine is rejected." in admin.get("/enrolment").text
    assert [state_of(site, one) for one in waiting] == ["enrolled", "enrolled", "rejected"]


def test_who_chooses_nobody_is_told(admin: Browser) -> None:
    assert admin.post("/enrolment/approve").status_code == 303
    assert "choose engines that wait" in admin.get("/enrolment").text


def test_when_one_cannot_be_approved_none_is(site: Site, admin: Browser) -> None:
    waiting = site.house.enrol(needs_approval=True).engine
    data = {"csrf_token": admin.token(), "engine": [waiting, "eng_nothing"]}
    answer = admin.http.post("/enrolment/approve", data=data)
    assert (answer.status_code, state_of(site, waiting)) == (404, "waiting")


def test_a_viewer_sees_who_waits_and_has_no_buttons(site: Site) -> None:
    site.house.enrol(needs_approval=True)
    site.house.token()
    page = site.log_in(Role.VIEWER).get("/enrolment").text
    assert "engine-host" in page
    assert "/enrolment/" not in page


def test_a_nul_is_refused_before_any_database_sees_it(admin: Browser) -> None:
    answer = admin.post("/enrolment/tokens", **{**TERMS, "replaces": "eng_\0"})
    assert (answer.status_code, "field-unreadable" in answer.text) == (422, True)


def test_both_lists_are_paged_by_the_database(site: Site, admin: Browser) -> None:
    for _ in range(PAGE_LINES + 1):
        site.house.enrol(needs_approval=True)
    with counted(site.portal.database) as statements:
        page = admin.get("/enrolment").text
    assert len(statements) == 3, statements  # who asks, the engines, the tokens
    assert page.count('name="engine"') == page.count('class="badge') == PAGE_LINES
    waiting, tokens = [unescape(one) for one in re.findall(r'href="([^"]*)" rel="next"', page)]
    assert admin.get(waiting).text.count('name="engine"') == 1
    assert admin.get(tokens).text.count('class="badge') == 1
    assert "First page" in admin.get(tokens).text
