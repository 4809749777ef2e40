"""Pages about the portal itself, in a real browser: readable, usable, and of the width of a telephone."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from engineshed_packages.enrolment import EnrolAnswer, EnrolLine
from engineshed_server.wiring import open_portal
from tests.browser.accessibility import check_accessibility, check_width
from tests.browser.screenshots import seed_tokens
from tests.browser.site import NARROW, OWNER, Scheme, Site, open_site
from tests.server.portals import enrol_request


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A portal with tokens, and engines that wait."""
    folder: Path = tmp_path_factory.mktemp("site")
    with open_site(folder) as opened:
        with closing(open_portal(opened.running.settings)) as portal:
            seed_tokens(portal, now=datetime.now(UTC))
        yield opened


@pytest.mark.parametrize("path", ["/enrolment", "/tokens", "/audit", "/audit?action=nothing", "/about"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_grave_and_nothing_too_wide_on_a_telephone(
    site: Site, browser: Browser, path: str, scheme: Scheme
) -> None:
    with site.open_page(browser, user=OWNER, size=NARROW, scheme=scheme) as (page, _):
        page.goto(path)
        check_width(page)
        check_accessibility(page)


def test_a_change_leads_to_all_that_are_like_it(page: Page) -> None:
    page.goto("/audit")
    page.get_by_role("link", name="user-created").first.click()
    expect(page.get_by_label("Action")).to_have_value("user-created")
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_label("From (UTC)").fill("2099-01-01T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No change is like that")).to_be_visible()
    page.get_by_role("link", name="Everything").click()
    expect(page.get_by_role("link", name="portal-initialised")).to_be_visible()


def state_of(site: Site, engine_id: str) -> str:
    bearer = f"Bearer {site.running.token}"
    status, body = site.running.get(f"/api/v1/engines/{engine_id}", Authorization=bearer)
    assert status == 200, body
    return str(json.loads(body)["state"])


def test_an_engine_that_joined_by_a_line_of_the_page_is_approved_on_it(site: Site, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/enrolment")
    page.get_by_label("What it is for").fill("third hall")
    page.get_by_label("Who joins needs approval").check()
    page.get_by_role("button", name="Make token").click()
    check_accessibility(page)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    line = EnrolLine.parse(page.evaluate("navigator.clipboard.readText()"))
    joined = EnrolAnswer.from_bytes(
        site.running.post("/api/v1/enrol", enrol_request(line.token).to_bytes())[1]
    )
    assert joined.waiting
    page.get_by_role("link", name="Back to Enrolment").click()
    expect(page.get_by_role("row").filter(has_text="third hall")).to_contain_text("used")
    page.get_by_role("checkbox", name=joined.engine).check()
    page.get_by_role("button", name="Approve chosen").click()
    expect(page.get_by_text("1 engine is approved.")).to_be_visible()
    expect(page.get_by_role("checkbox", name=joined.engine)).to_have_count(0)
    assert state_of(site, joined.engine) == "enrolled"
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Reject chosen").click()
    expect(page.get_by_text("1 engine is rejected.")).to_be_visible()


def test_without_scripts_a_token_is_made_and_revoked(site: Site, browser: Browser) -> None:
    with site.open_page(browser, user=OWNER, script=False) as (page, _):
        page.goto("/tokens")
        page.get_by_label("What it is for").fill("scriptless")
        page.get_by_role("button", name="Make token").click()
        expect(page.get_by_text("It is shown only now.")).to_be_visible()
        expect(page.get_by_role("button", name="Copy")).to_be_hidden()
        page.get_by_role("link", name="Back to API tokens").click()
        row = page.get_by_role("row").filter(has_text="scriptless")
        row.get_by_text("Revoke…").click()
        row.get_by_role("button", name="Revoke token").click()
        expect(page.get_by_text("scriptless is revoked")).to_be_visible()
