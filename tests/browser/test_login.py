"""Logging in, in a real browser: the owner's link, the keyboard, dark, narrow, without scripts."""

from contextlib import closing
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import Role
from engineshed_server.services.owner_links import create_owner_link
from engineshed_server.wiring import open_portal
from tests.browser.accessibility import check_accessibility, check_width
from tests.browser.site import NARROW, OWNER, PASSWORD, Scheme, Site, Watch


def owner_link(site: Site) -> str:
    with closing(open_portal(site.running.settings)) as portal:
        return create_owner_link(portal, actor=Actor("test"), now=datetime.now(UTC)).address


def test_the_link_makes_an_owner_who_logs_in_again_with_his_password(site: Site, visitor: Page) -> None:
    address, _, code = owner_link(site).partition("#")
    visitor.goto(f"{address}#{code}")
    expect(visitor.get_by_label("Code of the link")).to_have_value(code)
    assert visitor.url == address  # the code stays in no history
    check_accessibility(visitor)
    visitor.get_by_label("Name").fill("frida")
    visitor.get_by_label("Password", exact=True).fill(PASSWORD)
    visitor.get_by_label("The same password again").fill(PASSWORD)
    visitor.get_by_role("button", name="Make me an owner").click()
    expect(visitor.get_by_text("frida is an owner of this portal now.")).to_be_visible()
    visitor.get_by_role("button", name="Log out").click()
    expect(visitor.get_by_text("You are logged out.")).to_be_visible()
    visitor.get_by_label("Name").fill("frida")
    visitor.get_by_label("Password").fill(PASSWORD)
    visitor.get_by_role("button", name="Log in").click()
    expect(visitor.get_by_role("heading", name="Home")).to_be_visible()


def test_the_keyboard_alone_logs_in_and_opens_a_place(visitor: Page) -> None:
    visitor.goto("/users")
    expect(visitor.get_by_label("Name")).to_be_focused()
    visitor.keyboard.type(OWNER)
    visitor.keyboard.press("Tab")
    visitor.keyboard.type(PASSWORD)
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("heading", name="Users", exact=True)).to_be_visible()
    visitor.keyboard.press("Tab")
    expect(visitor.get_by_role("link", name="Skip to the content")).to_be_focused()
    visitor.keyboard.press("Enter")
    for _ in range(4):
        visitor.keyboard.press("Tab")
        if visitor.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("button", name="Change role")).to_be_visible()


def test_wrong_passwords_are_told_then_wait_and_are_forgotten(
    visitors: tuple[Page, Watch], site: Site
) -> None:
    page, watch = visitors
    watch.expect("status of 401")
    watch.expect("status of 429")
    site.add_user("victim", Role.VIEWER)
    page.goto("/login")
    for told in [*["do not belong together"] * 6, "too many wrong passwords"]:
        page.get_by_label("Name").fill("victim")
        page.get_by_label("Password").fill("not the password")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text(told)
    site.forget_guesses()
    page.get_by_label("Name").fill("victim")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


@pytest.mark.parametrize("path", ["/login", "/first-owner", "/", "/account", "/users", "/nowhere"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_grave_and_nothing_too_wide_on_a_telephone(
    site: Site, browser: Browser, path: str, scheme: Scheme
) -> None:
    user = None if path in ("/login", "/first-owner") else OWNER
    with site.open_page(browser, user=user, size=NARROW, scheme=scheme) as (page, watch):
        watch.expect("status of 404")
        page.goto(path)
        check_width(page)
        check_accessibility(page)


def test_the_menu_of_a_telephone_opens_and_leads_on(site: Site, browser: Browser) -> None:
    with site.open_page(browser, user=OWNER, size=NARROW) as (page, _):
        page.goto("/")
        expect(page.get_by_role("link", name="Users")).to_be_hidden()
        page.get_by_role("button", name="Menu").click()
        page.get_by_role("link", name="Users").click()
        expect(page.get_by_role("heading", name="Users", exact=True)).to_be_visible()


def ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_look_follows_the_system_until_somebody_chooses(site: Site, browser: Browser) -> None:
    with site.open_page(browser, user=OWNER, scheme="dark") as (page, _):
        page.goto("/users")
        dark = ground(page)
        page.get_by_role("button", name="Light").click()
        expect(page.get_by_role("button", name="Light")).to_have_attribute("aria-pressed", "true")
        assert page.url.endswith("/users")
        assert ground(page) != dark
        page.goto("/account")
        assert ground(page) != dark


def test_without_scripts_the_pages_work_as_well(site: Site, browser: Browser) -> None:
    with site.open_page(browser, script=False) as (page, _):
        page.goto("/users")
        page.get_by_label("Name").fill(OWNER)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_label("Name").fill("scriptless")
        page.get_by_label("First password").fill(PASSWORD)
        page.get_by_role("button", name="Add user").click()
        expect(page.get_by_text("scriptless may log in now, as viewer.")).to_be_visible()
        row = page.get_by_role("row").filter(has_text="scriptless")
        row.get_by_text("Disable…").click()
        row.get_by_role("button", name="Disable scriptless").click()
        expect(page.get_by_text("scriptless is disabled, and logged out everywhere.")).to_be_visible()


def test_another_browser_is_logged_out_from_the_account_page(site: Site, browser: Browser) -> None:
    site.add_user("anna", Role.VIEWER)
    with (
        site.open_page(browser, user="anna") as (here, _),
        site.open_page(browser, user="anna") as (there, _),
    ):
        there.goto("/account")
        here.goto("/account")
        row = here.get_by_role("row").filter(has_text="Firefox on Windows")
        row.get_by_role("button", name="Log out").click()
        expect(here.get_by_text("That browser is logged out.")).to_be_visible()
        there.goto("/account")
        expect(there.get_by_role("heading", name="Log in")).to_be_visible()
