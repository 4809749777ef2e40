"""``make screenshots``: every page as it looks, light and dark, in ``docs/screenshots/``.

A page is a line in ``SHOTS``. What it shows comes from ``seed``, which fills the portal as one in use; who
adds a page lets ``seed`` make what it needs. PNGs lie in the repository: keep them few and small.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page

from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import Role
from engineshed_server.services.api_tokens import Scope, create_api_token
from engineshed_server.services.enrol_tokens import EnrolTerms, create_enrol_token
from engineshed_server.services.enrolment import enrol
from engineshed_server.services.portal import Portal
from engineshed_server.wiring import open_portal
from tests.browser.fleet import FAILED, seed_fleet
from tests.browser.site import NARROW, OWNER, Scheme, Site, open_browser, open_site
from tests.server.portals import enrol_request
from tests.vendor import PRODUCT

FOLDER = Path(__file__).parent.parent.parent / "docs" / "screenshots"
SIZE = (1180, 720)
MAX_PNG_BYTES = 150_000
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


NOTES = """\
# What is new

- Checks of *certificates* name the host they failed for.
- **SNMP** traps of more than 64 KiB are refused instead of cut.

| before | now |
|---|---|
| `snmp.max` in bytes | `snmp.max_kib` |

More in the [release notes](https://support.example/engine/3.4.0).
"""


def nothing(page: Page) -> None:
    """Takes the page as it comes."""


def make_enrol_token(page: Page) -> None:
    """Makes a token, so that its line is shown."""
    page.get_by_label("What it is for").fill("Berlin, second hall")
    page.get_by_role("button", name="Make token").click()
    page.get_by_role("heading", name="The line to paste").wait_for()


def open_engine(page: Page) -> None:
    """Follows the one engine that was found."""
    page.get_by_role("link", name=FAILED).click()
    page.wait_for_load_state()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One page.

    Attributes:
        name: of the file, without ``-light.png``. user: who looks; None: a visitor.
        prepare: what is clicked before the picture is taken. whole: all of the page, not the window's part.
        size: of the window.
    """

    name: str
    path: str
    user: str | None = OWNER
    prepare: Callable[[Page], None] = nothing
    whole: bool = False
    size: tuple[int, int] = SIZE


def open_newest_upload(page: Page) -> None:
    page.get_by_role("link", name=f"{PRODUCT}-3.4.0-bundle.zip").click()
    page.get_by_text("What was verified").wait_for()


def open_refused_upload(page: Page) -> None:
    page.get_by_role("link", name="koaly-update.zip").click()
    page.get_by_text("Refused:").wait_for()


SHOTS = (
    Shot(name="login", path="/login", user=None),
    Shot(name="home", path="/"),
    Shot(name="update_packages", path="/update-packages", size=(1180, 1040)),
    Shot(name="update_packages-upload", path="/update-packages", prepare=open_newest_upload),
    Shot(name="update_packages-refused", path="/update-packages", prepare=open_refused_upload),
    Shot(name="update_packages-release", path=f"/update-packages/releases/{PRODUCT}/3.4.0"),
    Shot(name="update_packages-narrow", path="/update-packages", size=NARROW),
    Shot(name="groups", path="/groups"),
    Shot(name="enrolment", path="/enrolment"),
    Shot(name="enrolment-made", path="/enrolment", prepare=make_enrol_token),
    Shot(name="api_tokens", path="/tokens"),
    Shot(name="engines", path="/engines"),
    Shot(name="engine", path=f"/engines?q={FAILED}", prepare=open_engine),
    Shot(name="audit", path="/audit"),
    Shot(name="users", path="/users"),
    Shot(name="about", path="/about"),
    Shot(name="account", path="/account", user="anna"),
)


def seed(site: Site) -> None:
    """Fills the portal as one in use."""
    site.running.publish("1.0.0")
    site.add_user("anna", Role.ADMIN)
    site.add_user("bert", Role.VIEWER)
    with closing(open_portal(site.running.settings)) as portal:
        seed_tokens(portal, now=datetime.now(UTC))
    seed_releases(site)
    seed_fleet(site)


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


def seed_releases(site: Site) -> None:
    """Two releases, one of them with notes, and three uploads, of which one was refused."""
    vendor = site.running.vendor
    notes = vendor.folder / "notes.json"
    notes.write_text(json.dumps({"format": 1, "languages": {"en": {"message": "", "notes": NOTES}}}), "utf-8")
    for version, terms in (
        ("3.3.0", ReleaseTerms()),
        ("3.4.0", ReleaseTerms(severity="recommended", message="Restarts the engine once.", notes=notes)),
    ):
        vendor.release(version, platforms=("linux-x86_64", "windows-x86_64"), terms=terms)
    site.upload(f"{PRODUCT}-3.3.0-bundle.zip", vendor.bundle("3.3.0").read_bytes())
    site.upload("koaly-update.zip", b"<html><title>Log in to the guests' network</title></html>")
    site.upload(f"{PRODUCT}-3.4.0-bundle.zip", vendor.bundle("3.4.0").read_bytes())


def take(names: list[str]) -> list[Path]:
    """Writes the pages of those names, of all when none is given; returns what was written."""
    wanted = [shot for shot in SHOTS if not names or shot.name in names]
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser, open_site(Path(folder)) as site:
        seed(site)
        for shot in wanted:
            for scheme in SCHEMES:
                with site.open_page(browser, user=shot.user, size=shot.size, scheme=scheme) as (page, _):
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
