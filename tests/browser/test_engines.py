"""Engines in a real browser: found, looked at, approved, ordered; dark, narrow, without scripts."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessibility import check_accessibility, check_width
from tests.browser.fleet import FAILED, WAITING, publish_releases, seed_fleet
from tests.browser.site import NARROW, OWNER, Scheme, Site


@pytest.fixture(scope="module", autouse=True)
def ids(site: Site) -> dict[str, str]:
    publish_releases(site)
    return seed_fleet(site)


def test_an_engine_is_found_and_says_what_failed(page: Page) -> None:
    page.goto("/engines")
    page.get_by_label("Show", exact=True).select_option("failed")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name=FAILED).click()
    expect(page.get_by_role("heading", name=FAILED)).to_be_visible()
    expect(page.get_by_text("cannot bind port 8181").first).to_be_visible()
    expect(page.get_by_text("END ROLLED_BACK probe-failed")).to_be_visible()


def test_an_engine_that_waits_is_approved(page: Page) -> None:
    page.goto("/engines?show=waiting")
    page.get_by_role("link", name=WAITING).click()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("The engine is approved")).to_be_visible()
    page.goto("/engines?show=waiting")
    expect(page.get_by_text("No engine is found")).to_be_visible()


def test_an_order_is_given_and_shown(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/engines/{ids['plant-01.example']}")
    page.get_by_text("Restart…").click()
    restart = page.locator("form", has=page.locator("input[value=restart]"))
    restart.get_by_label("Why").fill("after the move")
    restart.get_by_role("button", name="Restart").click()
    expect(page.get_by_text("Ordered: restart.")).to_be_visible()
    expect(page.get_by_role("cell", name="after the move")).to_be_visible()


def test_ticked_engines_are_moved_without_scripts(site: Site, browser: Browser) -> None:
    with site.open_page(browser, user=OWNER, script=False) as (page, _):
        page.goto("/engines?group=offices&sort=seen")
        page.get_by_label("Choose office-ulm.example").check()
        page.get_by_label("To group").select_option("plants")
        page.get_by_role("button", name="Move", exact=True).click()
        expect(page.get_by_text("Engines moved: 1 of 1.")).to_be_visible()
        expect(page.get_by_role("link", name="office-ulm.example")).to_have_count(0)


def test_what_is_now_looks_anew_while_it_can_be_seen(page: Page, ids: dict[str, str]) -> None:
    page.goto(f"/engines/{ids[FAILED]}")
    with page.expect_response(f"**/engines/{ids[FAILED]}/now"):
        page.evaluate("window.htmx.trigger('#now', 'refresh')")
    expect(page.get_by_role("heading", name="Now", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, (1280, 800)])
def test_the_pages_are_for_everybody(
    site: Site, browser: Browser, ids: dict[str, str], scheme: Scheme, size: tuple[int, int]
) -> None:
    with site.open_page(browser, user=OWNER, scheme=scheme, size=size) as (page, _):
        for path in ("/engines", f"/engines/{ids[FAILED]}"):
            page.goto(path)
            check_accessibility(page)
            check_width(page)
