"""Pages about the portal itself, in a real browser: readable, usable, and of the width of a telephone."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessibility import check_accessibility, check_width
from tests.browser.site import NARROW, OWNER, Scheme, Site


@pytest.mark.parametrize("path", ["/audit", "/audit?action=nothing"])
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
