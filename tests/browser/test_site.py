"""The pages' watch sees what it is there for."""

import pytest
from playwright.sync_api import Browser

from tests.browser.accessibility import check_accessibility, check_width
from tests.browser.site import NARROW, OWNER, Site


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("console.error('broken')", "console error: broken"),
        ("setTimeout(() => { throw new Error('broken'); })", "script: broken"),
        ("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\">')", "policy: style-src"),
        ("fetch('https://elsewhere.example/').catch(() => {})", "policy: connect-src"),
        ("document.head.append(Object.assign(document.createElement('script'), {text: '1'}))", "script-src"),
    ],
)
def test_what_goes_wrong_in_a_page_fails_the_test(
    site: Site, browser: Browser, script: str, told: str
) -> None:
    with pytest.raises(AssertionError, match=told):  # noqa: SIM117
        with site.open_page(browser, user=OWNER) as (page, _):
            page.goto("/")
            page.evaluate(script)
            page.wait_for_timeout(100)


def test_a_request_that_leaves_the_portal_fails_the_test(site: Site, browser: Browser) -> None:
    with pytest.raises(AssertionError, match="left the portal"):  # noqa: SIM117
        with site.open_page(browser, user=OWNER) as (page, _):
            page.goto(site.address.replace("127.0.0.1", "localhost"))


def test_a_page_that_is_too_wide_or_hard_to_read_is_found(site: Site, browser: Browser) -> None:
    with site.open_page(browser, user=OWNER, size=NARROW) as (page, _):
        page.goto("/")
        page.evaluate("document.querySelector('main').append(document.createElement('input'))")
        with pytest.raises(AssertionError, match="label"):
            check_accessibility(page)
        page.evaluate("document.querySelector('main').style.width = '500px'")
        with pytest.raises(AssertionError, match="wider than its window"):
            check_width(page)
