"""A portal as it runs in earnest, and a browser that looks at it: what the tests and the screenshots share.

    with open_browser() as browser, open_site(folder) as site:
        with site.open_page(browser, user=OWNER) as page:
            page.goto("/users")

A page fails what it is used for when the browser's console tells an error, a script fails, the policy of the
page refuses something, or a request leaves the portal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import Role
from engineshed_server.domain.uploads import DONE, FAILED, Uploader
from engineshed_server.services import logins, users
from engineshed_server.services.guesses import FORGET_AFTER, forget_failures
from engineshed_server.services.logins import Visitor
from engineshed_server.services.uploads.opening import NewUpload, open_upload
from engineshed_server.services.uploads.owning import show_upload
from engineshed_server.services.uploads.receiving import Chunk, receive
from engineshed_server.wiring import open_portal
from tests.server.running import RunningPortal
from tests.server.serve.processes import wait_until

CHROMIUM = Path("/usr/bin/chromium")
OWNER = "olga"
PASSWORD = "four words in a row"
LOGIN = "engineshed_login"
USER_AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
WIDE = (1280, 800)
NARROW = (390, 844)
PATIENCE_MS = 30_000  # only a failure takes as long; the machine may have more to do
_FLAGS = (
    "--headless",
    "--no-sandbox",  # root may not have one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.violatedDirective} refused ${event.blockedURI}`));
"""

Scheme = Literal["light", "dark"]


@dataclass
class Watch:
    """What went wrong in a page so far; ``expect`` names a part of what is meant to."""

    address: str
    found: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, part: str) -> None:
        """Let an error that contains *part* pass, as ``status of 401`` of a login that is refused."""
        self.expected.append(part)

    def follow(self, page: Page) -> None:
        page.add_init_script(_TELL_VIOLATIONS)
        page.on("console", self._note_console)
        page.on("pageerror", self._note_error)
        page.on("request", self._note_request)

    def check(self) -> None:
        """Fails when something went wrong that was not expected."""
        wrong = [one for one in self.found if not any(part in one for part in self.expected)]
        assert wrong == [], "\n".join(wrong)  # pytest explains asserts of test modules only

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _note_error(self, error: Error) -> None:
        self.found.append(f"script: {error.message}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith(f"{self.address}/"):
            self.found.append(f"left the portal: {request.url}")


class Site:
    """A running portal with an owner, and pages on it."""

    def __init__(self, running: RunningPortal) -> None:
        self.running = running
        self.address = running.address

    def add_user(self, name: str, role: Role) -> None:
        with closing(open_portal(self.running.settings)) as portal:
            users.create_user(
                portal, name=name, password=PASSWORD, role=role, actor=Actor("test"), now=datetime.now(UTC)
            )

    def log_in(self, name: str) -> str:
        """Begins a session of that user; what its cookie holds."""
        with closing(open_portal(self.running.settings)) as portal:
            begun = logins.log_in(
                portal,
                name=name,
                password=PASSWORD,
                visitor=Visitor(address="192.0.2.7", user_agent=USER_AGENT),
                now=datetime.now(UTC),
            )
        return begun.secret

    def forget_guesses(self) -> None:
        """Lets wrong passwords count for nothing: all browsers here come from one address."""
        with closing(open_portal(self.running.settings)) as portal:
            forget_failures(portal.database, now=datetime.now(UTC) + 2 * FORGET_AFTER)

    def upload(self, name: str, data: bytes) -> None:
        """Uploads *data* as the owner, and waits until it is published or refused."""
        owner, moment = Uploader(user_name=OWNER), datetime.now(UTC)
        wanted = NewUpload(length_bytes=len(data), name=name, sent_metadata="")
        pieces = [memoryview(data)]
        with closing(open_portal(self.running.settings)) as portal:
            opened = open_upload(portal, wanted, owner=owner, actor=Actor(f"user:{OWNER}"), now=moment)
            chunk = Chunk(offset_bytes=0, length_bytes=len(data), pieces=pieces)
            receive(portal, opened.upload_id, chunk=chunk, asking=owner, now=moment)

            def is_final() -> bool:
                shown = show_upload(portal, opened.upload_id, asking=owner, now=moment)
                return shown.state in (DONE, FAILED)

            wait_until(is_final, f"{name} is published or refused")

    @contextmanager
    def open_page(
        self,
        browser: Browser,
        *,
        user: str | None = None,
        size: tuple[int, int] = WIDE,
        scheme: Scheme = "light",
        script: bool = True,
    ) -> Iterator[tuple[Page, Watch]]:
        """A page in a browser of its own, *user* logged in; what went wrong in it fails at the end."""
        with open_window(browser, self.address, size=size, scheme=scheme, script=script) as opened:
            if user is not None:
                opened[0].context.add_cookies(
                    [{"name": LOGIN, "value": self.log_in(user), "url": self.address}]
                )
            yield opened


@contextmanager
def open_window(
    browser: Browser,
    address: str,
    *,
    size: tuple[int, int] = WIDE,
    scheme: Scheme = "light",
    script: bool = True,
) -> Iterator[tuple[Page, Watch]]:
    """A page on the portal at *address*, nobody logged in; what went wrong in it fails at the end."""
    context = browser.new_context(
        base_url=address,
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=script,
        reduced_motion="reduce",
    )
    try:
        context.set_default_timeout(PATIENCE_MS)
        page, watch = context.new_page(), Watch(address)
        watch.follow(page)
        yield page, watch
        watch.check()
    finally:
        context.close()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """The system's chromium; nothing is downloaded for it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """A portal that runs, with the owner ``OWNER``."""
    running = RunningPortal(folder)
    try:
        site = Site(running)
        site.add_user(OWNER, Role.OWNER)
        running.start()
        yield site
    finally:
        running.end()
