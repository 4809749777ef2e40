"""Home and groups in a real browser: what is green, what leads where, and that it looks anew by itself."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessibility import check_accessibility, check_width
from tests.browser.fleet import MEMBERS, publish_releases, seed_fleet
from tests.browser.site import NARROW, OWNER, Scheme, Site


@pytest.fixture(scope="module", autouse=True)
def ids(site: Site) -> dict[str, str]:
    publish_releases(site)
    return seed_fleet(site)


def test_a_figure_leads_to_its_engines(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="1 failed").click()
    expect(page.get_by_role("heading", name="Engines", exact=True)).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)


def test_a_bar_names_its_versions(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("img", name="3.4.0: 9")).to_be_visible()
    page.get_by_role("link", name="3.2.0").first.click()
    expect(page.get_by_role("row")).to_have_count(3)


def test_a_new_engine_is_seen_without_a_reload(site: Site, page: Page) -> None:
    page.goto("/")
    page.evaluate("window.notReloaded = true")
    waiting = sum(member.waits for member in MEMBERS)
    expect(page.get_by_role("link", name=f"{waiting} waiting for approval")).to_be_visible()
    page.evaluate("document.querySelector('#now').dataset.refresh = '1'")  # not every ten seconds
    site.running.enrol("3.4.0")
    enrolled = sum(not member.waits for member in MEMBERS) + 1
    expect(page.get_by_text(f"{enrolled} are enrolled.")).to_be_visible(timeout=20_000)
    assert page.evaluate("window.notReloaded")


def test_a_hidden_tab_asks_nothing(page: Page) -> None:
    page.goto("/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.evaluate("document.querySelector('#now').dataset.refresh = '0'")
    page.wait_for_timeout(1200)  # the page looks twice a second whether something is due
    assert [url for url in asked if url.endswith("/home/now")] == []
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
    with page.expect_response("**/home/now"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_group_is_made_and_all_of_another_move_there_without_scripts(site: Site, browser: Browser) -> None:
    with site.open_page(browser, user=OWNER, script=False) as (page, _):
        page.goto("/groups")
        page.get_by_label("New group").fill("branches")
        page.get_by_role("button", name="Make group").click()
        row = page.get_by_role("row", name="offices")
        row.get_by_text("Move all…").click()
        row.get_by_label("Into group").select_option("branches")
        row.get_by_role("button", name="Move all of offices").click()
        expect(page.get_by_text("Engines moved from group offices to branches: 4.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, (1280, 800)])
def test_the_pages_are_for_everybody(
    site: Site, browser: Browser, scheme: Scheme, size: tuple[int, int]
) -> None:
    with site.open_page(browser, user=OWNER, scheme=scheme, size=size) as (page, _):
        for path in ("/", "/groups"):
            page.goto(path)
            check_accessibility(page)
            check_width(page)
