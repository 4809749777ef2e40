"""The whole way, by real processes: the owner's link, an upload that is cut, and an engine that turns."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from engineshed_server.web.views.uploads import PIECE_BYTES
from tests.browser.site import PASSWORD, Watch, open_window
from tests.browser.uploading import Gate, choose
from tests.e2e.sample_parties import EngineHost
from tests.e2e.site import Site

TURNING_MS = 90_000  # a download, a swap and probes, on a machine that has more to do


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("parties")) as site:
        yield site


def become_owner(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_label("Name").fill("olga")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same password again").fill(PASSWORD)
    page.get_by_role("button", name="Make me an owner").click()
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Name").fill("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def look_at(page: Page, watch: Watch, path: str) -> Page:
    """Another page of the same browser, that would lose a mark when it were loaded anew."""
    other = page.context.new_page()
    watch.follow(other)
    other.goto(path)
    other.evaluate("window.asItWas = true")
    return other


def upload(page: Page, parties: Site, host: EngineHost) -> None:
    """Uploads 1.1.0: paused after a piece, the page loaded anew, the same file chosen again."""
    ballast = {"lib/ballast.bin": os.urandom(2 * PIECE_BYTES)}  # three pieces, so that one can be missing
    bundle = parties.vendor.bundle(host.product, "1.1.0", files=ballast)
    gate = Gate(page, open_for=1)
    page.get_by_role("link", name="Update packages").click()
    choose(page, bundle)
    expect(page.locator("[data-figures]")).to_contain_text("8.4 MB of")
    expect(page.locator("[data-figures]")).to_contain_text("/s")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status").filter(has_text="Paused.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("row").filter(has_text=bundle.name)).to_contain_text("8.4 MB have arrived")
    gate.open_for = 3
    gate.offsets.clear()
    choose(page, bundle)
    expect(page.get_by_text("Verified and published.")).to_be_visible(timeout=TURNING_MS)
    assert gate.offsets == [PIECE_BYTES, 2 * PIECE_BYTES]  # what had arrived was not sent again
    page.get_by_role("link", name="Back to Update packages").click()
    expect(page.get_by_role("region", name="Update package for")).to_contain_text("1.1.0")


def test_an_owner_uploads_a_release_and_watches_the_engine_turn(parties: Site, browser: Browser) -> None:
    host = parties.running_host()
    host.start_updater()
    with open_window(browser, parties.portal.url) as (page, watch):
        become_owner(page, parties.portal.run("user", "owner-link").strip())
        home, engine = (look_at(page, watch, path) for path in ("/", f"/engines/{host.engine_id}"))
        fleet = home.get_by_role("main").locator(".fleet").filter(has_text=host.product)
        installed = engine.locator("dt:text-is('Installed version') + dd")
        expect(fleet.get_by_role("link")).to_have_text(["1.0.0"])
        expect(installed).to_have_text("1.0.0")
        upload(page, parties, host)
        expect(fleet.get_by_role("link")).to_have_text(["1.1.0"], timeout=TURNING_MS)
        expect(home.get_by_text("Every engine is green")).to_be_visible()
        expect(home.get_by_role("region", name="Latest attempts")).to_contain_text("1.1.0")
        expect(installed).to_have_text("1.1.0")
        assert [one.evaluate("window.asItWas") for one in (home, engine)] == [
            True,
            True,
        ]  # nobody reloaded them
    assert host.version == "1.1.0"
