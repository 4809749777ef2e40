"""A browser for the worker, a running portal for the module, a page for the test.

    def test_…(page: Page, watch: Watch) -> None:      # the owner is logged in
        page.goto("/users")

``visitor`` is the same without a login; ``watch.expect("status of 401")`` names an error that is meant.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import CHROMIUM, OWNER, PATIENCE_MS, Site, Watch, open_browser, open_site
from tests.conftest import require


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    require(CHROMIUM.exists(), "Debian's chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest.fixture
def owners(site: Site, browser: Browser) -> Iterator[tuple[Page, Watch]]:
    with site.open_page(browser, user=OWNER) as opened:
        yield opened


@pytest.fixture
def page(owners: tuple[Page, Watch]) -> Page:
    """A page of the owner."""
    return owners[0]


@pytest.fixture
def watch(owners: tuple[Page, Watch]) -> Watch:
    """What went wrong in ``page``."""
    return owners[1]


@pytest.fixture
def visitors(site: Site, browser: Browser) -> Iterator[tuple[Page, Watch]]:
    with site.open_page(browser) as opened:
        yield opened


@pytest.fixture
def visitor(visitors: tuple[Page, Watch]) -> Page:
    """A page in which nobody is logged in."""
    return visitors[0]
