"""``make screenshots``: every page as it looks, light and dark, in ``docs/screenshots/``.

A page is a line in ``SHOTS``. What it shows comes from ``seed``, which fills the portal as one in use; who
adds a page lets ``seed`` make what it needs. PNGs lie in the repository: keep them few and small.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page

from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import Role
from engineshed_server.services.api_tokens import Scope, create_api_token
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.enrolment import enrol
from engineshed_server.services.portal import Portal
from engineshed_server.wiring import open_portal
from tests.browser.site import OWNER, Scheme, Site, open_browser, open_site
from tests.server.portals import enrol_request

FOLDER = Path(__file__).parent.parent.parent / "docs" / "screenshots"
SIZE = (1180, 720)
MAX_PNG_BYTES = 150_000
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def nothing(page: Page) -> None:
    """Takes the page as it comes."""


def make_enrol_token(page: Page) -> None:
    """Makes a token, so that its line is shown."""
    page.get_by_label("What it is for").fill("Berlin, second hall")
    page.get_by_role("button", name="Make token").click()
    page.get_by_role("heading", name="The line to paste").wait_for()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One page.

    Attributes:
        name: of the file, without ``-light.png``. user: who looks; None: a visitor.
        prepare: what is clicked before the picture is taken. whole: all of the page, not the window's part.
    """

    name: str
    path: str
    user: str | None = OWNER
    prepare: Callable[[Page], None] = nothing
    whole: bool = False


SHOTS = (
    Shot(name="login", path="/login", user=None),
    Shot(name="home", path="/"),
    Shot(name="enrolment", path="/enrolment", whole=True),
    Shot(name="enrolment-made", path="/enrolment", prepare=make_enrol_token),
    Shot(name="api_tokens", path="/tokens"),
    Shot(name="audit", path="/audit"),
    Shot(name="users", path="/users"),
    Shot(name="account", path="/account", user="anna"),
)


def seed(site: Site) -> None:
    """Fills the portal as one in use."""
    site.add_user("anna", Role.ADMIN)
    site.add_user("bert", Role.VIEWER)
    with closing(open_portal(site.running.settings)) as portal:
        seed_tokens(portal, now=datetime.now(UTC))


def seed_tokens(portal: Portal, *, now: datetime) -> None:
    """Tokens of all kinds, and engines that wait for approval."""
    anna = Actor("user:anna", address="192.0.2.17")
    for name, scope in (("nagios", Scope.VIEWER), ("build of the vendor", Scope.SUPPORT)):
        create_api_token(portal, name=name, scope=scope, actor=anna, now=now, expires_s=90 * 86400)
    hall = EnrolTerms(
        name="Berlin, first hall",
        group="berlin",
        uses=20,
        expires_s=7 * 86400,
        networks=("10.20.0.0/16",),
        needs_approval=True,
    )
    made = create_enrol_token(portal, hall, actor=anna, now=now)
    for number, platform in enumerate(("linux-x86_64", "linux-x86_64", "windows-x86_64"), start=1):
        asks = replace(enrol_request(made.line.token), host_name=f"berlin-{number:02}", platform=platform)
        enrol(portal, asks, address=f"10.20.0.{number}", now=now)
    create_enrol_token(portal, EnrolTerms(name="a single host"), actor=anna, now=now)


def take(names: list[str]) -> list[Path]:
    """Writes the pages of those names, of all when none is given; returns what was written."""
    wanted = [shot for shot in SHOTS if not names or shot.name in names]
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser, open_site(Path(folder)) as site:
        seed(site)
        for shot in wanted:
            for scheme in SCHEMES:
                with site.open_page(browser, user=shot.user, size=SIZE, scheme=scheme) as (page, _):
                    page.goto(shot.path)
                    shot.prepare(page)
                    path = FOLDER / f"{shot.name}-{scheme}.png"
                    page.screenshot(path=path, full_page=shot.whole, animations="disabled")
                    written.append(path)
    return written


if __name__ == "__main__":
    for picture in take(sys.argv[1:]):
        size_bytes = picture.stat().st_size
        print(f"{picture.relative_to(FOLDER.parent.parent)}  {size_bytes // 1024} KiB")
        if size_bytes > MAX_PNG_BYTES:
            sys.exit(f"{picture.name} has {size_bytes} bytes, at most {MAX_PNG_BYTES} are for the repository")
