"""How much has to come over a thin line before a page is there."""

import pytest
from playwright.sync_api import Browser

from engineshed_server.web.navigation import PLACES, Place
from tests.browser.site import OWNER, Site

MAX_FIRST_LOAD_BYTES = 120_000


@pytest.mark.parametrize("place", PLACES, ids=[place.title for place in PLACES])
def test_the_first_load_of_a_page_is_light(site: Site, browser: Browser, place: Place) -> None:
    with site.open_page(browser, user=OWNER) as (page, _):
        page.goto("/account")
        address = page.get_by_role("link", name=place.title, exact=True).get_attribute("href")
    assert address is not None
    with site.open_page(browser, user=OWNER) as (page, _):
        page.goto(address, wait_until="networkidle")
        loaded: list[tuple[str, int]] = page.evaluate(
            """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
                .map((one) => [new URL(one.name).pathname, one.transferSize])"""
        )
    sizes = [size for _, size in loaded]
    assert loaded[0][0] == address
    assert sum(size > 0 for size in sizes) > 4, loaded  # the icon is shown twice and comes once
    assert sum(sizes) <= MAX_FIRST_LOAD_BYTES, loaded
