"""Update packages in a real browser: the upload by drop, choice and keyboard, refusals, telephone, dark."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from engineshed_server.web.views.uploads import PIECE_BYTES
from tests.browser.accessibility import check_accessibility, check_width
from tests.browser.site import NARROW, OWNER, PASSWORD, Scheme, Site, Watch
from tests.browser.uploading import CHOOSER, Gate, choose
from tests.vendor import PRODUCT, Vendor

PAGE = "/update-packages"
TRIES = 7  # of upload.js, until it gives up


@pytest.fixture(scope="module")
def bundle(site: Site) -> Path:
    vendor = site.running.vendor
    vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    return vendor.bundle("1.0.0")


def test_a_bundle_is_dropped_verified_and_told_of(page: Page, site: Site, bundle: Path) -> None:
    page.goto(PAGE)
    data = list(bundle.read_bytes())
    transfer = page.evaluate_handle(
        """data => {
            const dropped = new DataTransfer();
            dropped.items.add(new File([new Uint8Array(data)], "update.zip"));
            return dropped;
        }""",
        data,
    )
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": transfer})
    expect(page.get_by_text("Verified and published.")).to_be_visible()
    verified = page.get_by_role("region", name=f"{PRODUCT} 1.0.0 for windows-x86_64")
    expect(verified.get_by_text("the vendor's key for")).to_be_visible()
    check_accessibility(page)
    page.get_by_role("link", name="Back to Update packages").click()
    expect(page.get_by_role("region", name="Update package for Windows")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="update.zip")).to_contain_text("published")


def test_more_than_one_file_at_once_is_not_taken(page: Page) -> None:
    page.goto(PAGE)
    transfer = page.evaluate_handle(
        """() => {
            const dropped = new DataTransfer();
            for (const name of ["a.zip", "b.zip"]) dropped.items.add(new File(["x"], name));
            return dropped;
        }"""
    )
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": transfer})
    expect(page.get_by_role("status").filter(has_text="Drop one file")).to_be_visible()


def stranger(folder: Path) -> Path:
    other = Vendor(folder, name="stranger")
    other.release("9.0.0")
    return other.bundle("9.0.0")


def cut(bundle: Path, folder: Path) -> Path:
    path = folder / "cut.zip"
    path.write_bytes(bundle.read_bytes()[:-100])
    return path


def no_zip(folder: Path) -> Path:
    path = folder / "page.zip"
    path.write_bytes(b"<html>Log in to the guests' network</html>")
    return path


def test_refused_bundles_show_why(page: Page, bundle: Path, tmp_path: Path) -> None:
    refused = {
        stranger(tmp_path): ("signed", "metadata-signature"),
        cut(bundle, tmp_path): ("zip", "archive-"),
        no_zip(tmp_path): ("is no zip archive", "archive-not-zip"),
    }
    for path, (reason, code) in refused.items():
        page.goto(PAGE)
        choose(page, path)
        expect(page.get_by_role("alert")).to_contain_text("Refused: ")
        expect(page.get_by_role("alert")).to_contain_text(reason)
        expect(page.get_by_role("code").filter(has_text=code)).to_be_visible()
        expect(page.get_by_text("nothing has changed for the engines")).to_be_visible()
    page.goto(PAGE)
    expect(page.get_by_role("row").filter(has_text="page.zip")).to_contain_text("is no zip archive")


def test_what_the_portal_does_not_take_is_told_at_once(page: Page, watch: Watch, tmp_path: Path) -> None:
    watch.expect("status of 422")
    empty = tmp_path / "empty.zip"
    empty.touch()
    page.goto(PAGE)
    choose(page, empty)
    expect(page.get_by_role("status").filter(has_text="(upload-empty)")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label(CHOOSER)).to_be_focused()


def test_the_keyboard_alone_logs_in_and_uploads(visitor: Page, bundle: Path) -> None:
    visitor.on("filechooser", lambda _: None)  # from now on, or the key may be faster than the listening
    visitor.goto(PAGE)
    visitor.keyboard.type(OWNER)
    visitor.keyboard.press("Tab")
    visitor.keyboard.type(PASSWORD)
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("heading", name="Update packages", exact=True)).to_be_visible()
    visitor.keyboard.press("Tab")
    visitor.keyboard.press("Enter")  # skip to the content
    visitor.keyboard.press("Tab")
    expect(visitor.get_by_label(CHOOSER)).to_be_focused()
    with visitor.expect_file_chooser() as choosing:
        visitor.keyboard.press("Enter")
    choosing.value.set_files(bundle)
    expect(visitor.get_by_role("heading", name="What was verified")).to_be_visible()


def test_an_upload_is_paused_resumed_and_cancelled(page: Page, site: Site, tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    path.write_bytes(bytes(2 * PIECE_BYTES + 1))
    page.goto(PAGE)
    gate = Gate(page, open_for=1)
    choose(page, path)
    expect(page.locator("[data-figures]")).to_contain_text("8.4 MB of 16.8 MB · 49 %")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status").filter(has_text="Paused.")).to_be_visible()
    expect(page.locator("[data-figures]")).to_have_text("8.4 MB of 16.8 MB · 49 %")  # and no rate
    check_accessibility(page)
    gate.open_for = 1
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("[data-figures]")).to_contain_text("16.8 MB of 16.8 MB")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    assert sorted(set(gate.offsets)) == [0, PIECE_BYTES, 2 * PIECE_BYTES]
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status").filter(has_text="Cancelled.")).to_be_visible()
    page.goto(PAGE)
    expect(page.get_by_text("large.zip")).to_be_hidden()


def test_a_cut_line_is_told_and_the_upload_goes_on_by_itself(page: Page, watch: Watch, bundle: Path) -> None:
    watch.expect("ERR_CONNECTION_RESET")
    cut: list[str] = []

    def cut_once(route: Route) -> None:
        if route.request.method == "PATCH" and not cut:
            cut.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.goto(PAGE)
    page.route("**/web/uploads/*", cut_once)
    choose(page, bundle)
    expect(page.get_by_role("heading", name="What was verified")).to_be_visible()
    assert len(cut) == 1


def test_a_line_that_stays_cut_is_told_and_resumed_by_hand(page: Page, watch: Watch, bundle: Path) -> None:
    watch.expect("ERR_CONNECTION_RESET")
    page.clock.install()
    page.goto(PAGE)
    page.route("**/web/uploads/*", lambda route: route.abort("connectionreset"))
    choose(page, bundle)
    expect(page.get_by_role("status").filter(has_text="cannot be reached. Trying again.")).to_be_visible()
    for _ in range(TRIES):
        page.clock.run_for(30_000)
    expect(page.get_by_role("status").filter(has_text="Resume to try again")).to_be_visible()
    page.unroute("**/web/uploads/*")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", name="What was verified")).to_be_visible()


def test_a_held_release_says_so_and_is_let_go(page: Page, site: Site, bundle: Path) -> None:
    site.upload("update.zip", bundle.read_bytes())
    page.goto(PAGE)
    page.get_by_role("link", name="1.0.0", exact=True).first.click()
    page.get_by_label("Reason").fill("trying it first")
    page.get_by_role("button", name="Hold it back").click()
    expect(page.get_by_text("no engine is offered it any more.")).to_be_visible()
    page.get_by_label("Reason").fill("it is good")
    page.get_by_role("button", name="Let it go").click()
    expect(page.get_by_text(f"{PRODUCT} 1.0.0 is offered again.")).to_be_visible()


def test_a_digest_is_copied_and_a_package_is_downloaded(page: Page, site: Site, bundle: Path) -> None:
    site.upload("update.zip", bundle.read_bytes())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.address)
    page.goto(PAGE)
    shown = page.get_by_role("region", name="Update package for Linux")
    shown.get_by_role("button", name="Copy").first.click()
    expect(shown.get_by_role("button", name="Copied")).to_be_visible()
    digest = page.evaluate("navigator.clipboard.readText()")
    assert digest in shown.inner_text()
    with page.expect_download() as downloading:
        shown.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename == f"{PRODUCT}-1.0.0-linux-x86_64.zip"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_grave_and_nothing_too_wide_on_a_telephone(
    site: Site, browser: Browser, bundle: Path, scheme: Scheme
) -> None:
    site.upload("update.zip", bundle.read_bytes())
    with site.open_page(browser, user=OWNER, size=NARROW, scheme=scheme) as (page, _):
        for path in (PAGE, f"{PAGE}/releases/{PRODUCT}/1.0.0"):
            page.goto(path)
            check_width(page)
            check_accessibility(page)
        page.goto(PAGE)
        page.get_by_role("link", name="update.zip").first.click()
        expect(page.get_by_role("heading", name="What was verified")).to_be_visible()
        check_width(page)
        check_accessibility(page)


def test_without_scripts_the_page_names_the_command_that_uploads(site: Site, browser: Browser) -> None:
    with site.open_page(browser, user=OWNER, script=False) as (page, _):
        page.goto(PAGE)
        expect(page.get_by_text(f"engineshed-server upload BUNDLE.zip --to {site.address}")).to_be_visible()
        expect(page.get_by_label(CHOOSER)).to_be_hidden()
