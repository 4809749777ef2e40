"""The whole way with a real engine: Allure's web server, two releases, updated while it serves.

    python -m tests.e2e.real_engine           # at the end it stays up until Ctrl-C
    python -m tests.e2e.real_engine --once    # the same, then everything is gone; exit code 0 or 1

Everything is done by the three commands as processes, on free ports of loopback, in a temporary folder. What
was found right is printed as one line "ok  …" each; the first thing that is not so ends the play.
"""

import argparse
import contextlib
import re
import shutil
import signal
import sys
from pathlib import Path

from engineshed_server.cli.demo.stage import DemoFailed, Stage
from tests.e2e.allure_releases import NEW, OLD, AllureRelease, FetchFailed
from tests.e2e.parties import EngineHost, Portal, Vendor, page, wait_for

UPDATE_WITHIN_S = 120.0
INTERRUPTED = 130  # as shells write it: 128 and SIGINT

# The customer's edit switches on a plugin: what the page then loads shows that the edit is in use.
EDITED_FILE = "config/allure.yml"
EDIT = "  - custom-logo-plugin\n"
SHOWS_THE_EDIT = "plugin/custom-logo/"
UNLISTED_FILE = "house/who-to-call.txt"
UNLISTED_TEXT = "The night shift: 4711\n"

FACTS = (
    f"{OLD.version} serves",
    f"{NEW.version} serves",
    "the customer's edit in config/ is still there, and in use",
    "the customer's unlisted file is still there",
    f"engine_YYYYMMDD holds {OLD.version}",
    "update.log ends with END … OK for the attempt that BEGIN opened",
    f"the portal reports {NEW.version} with its attempt",
    f"rollback brought {OLD.version} back, and it serves",
    "the rollback kept the customer's edit and the unlisted file",
)


class Tale:
    """Prints what is done and, in the order of `FACTS`, what was found right."""

    def __init__(self) -> None:
        self._left = list(FACTS)

    def step(self, text: str) -> None:
        print(f"--  {text}", flush=True)

    def check(self, is_so: bool, found: object) -> None:
        """Ticks the next fact off; raises DemoFailed with what was found when it is not so."""
        fact = self._left.pop(0)
        if not is_so:
            raise DemoFailed(f"not so: {fact}; found: {found}")
        print(f"ok  {fact}", flush=True)


def play(stage: Stage, tale: Tale) -> tuple[Portal, EngineHost]:
    """Plays the whole way. Raises DemoFailed or FetchFailed at the first thing that goes wrong."""
    tale.step(f"support builds, signs and bundles {OLD.version}")
    vendor = Vendor(stage)
    first = vendor.publish(OLD)
    tale.step("an admin starts a portal and uploads the bundle")
    portal = Portal(stage, vendor.root)
    portal.upload(first)
    tale.step("an engine's host enrols and installs the bundle")
    host = EngineHost(stage, portal, vendor.root)
    host.run("install", str(first))
    tale.check(host.served_version() == OLD.version, host.served_version())

    tale.step("the customer edits a file in config/ and adds a file of his own")
    edited = edit_as_customer(host.engine)
    stop_updater = host.start_updater()
    tale.step(f"support releases {NEW.version}, the admin uploads it, the updater does the rest")
    portal.upload(vendor.publish(NEW))
    check_update(host, portal, tale, edited=edited)

    tale.step("the admin of the host rolls back")
    stop_updater()
    host.run("rollback")
    tale.check(host.served_version() == OLD.version, host.served_version())
    kept = is_kept(host, edited) and unlisted_is_kept(host)
    tale.check(kept, "config/allure.yml or the unlisted file differs")
    return portal, host


def edit_as_customer(engine: Path) -> str:
    """Edits a kept file and adds an unlisted one; returns the edited text."""
    edited = engine / EDITED_FILE
    edited.write_text(edited.read_text("utf-8") + EDIT, encoding="utf-8")
    unlisted = engine / UNLISTED_FILE
    unlisted.parent.mkdir()
    unlisted.write_text(UNLISTED_TEXT, encoding="utf-8")
    return edited.read_text("utf-8")


def check_update(host: EngineHost, portal: Portal, tale: Tale, *, edited: str) -> None:
    def reported() -> bool:
        version, attempts = portal.attempts()
        return version == NEW.version and attempts[0].to_version == NEW.version

    wait_for(f"the portal knows {NEW.version}", reported, within_s=UPDATE_WITHIN_S)
    tale.check(host.served_version() == NEW.version, host.served_version())
    tale.check(is_kept(host, edited), (host.engine / EDITED_FILE).read_text("utf-8"))
    tale.check(unlisted_is_kept(host), UNLISTED_FILE)
    previous = host.previous()
    right = [path for path in previous if holds(path, OLD) and re.fullmatch(r"engine_\d{8}", path.name)]
    tale.check(len(previous) == len(right) == 1, [path.name for path in previous])
    attempt = portal.attempts()[1][0]
    lines = [line for line in host.log_lines() if f"attempt={attempt.attempt}" in line]
    pair = len(lines) >= 2 and " BEGIN " in lines[0] and re.search(r" END .*\bOK\b", lines[-1]) is not None
    tale.check(pair, lines)
    tale.check(attempt.outcome == "OK", attempt)
    for line in lines:
        print(f"    {line}")


def is_kept(host: EngineHost, edited: str) -> bool:
    """True when the customer's edit is there byte for byte and the served page shows it."""
    return (host.engine / EDITED_FILE).read_text("utf-8") == edited and SHOWS_THE_EDIT in (
        page(host.url) or ""
    )


def unlisted_is_kept(host: EngineHost) -> bool:
    path = host.engine / UNLISTED_FILE
    return path.is_file() and path.read_text("utf-8") == UNLISTED_TEXT


def holds(engine: Path, release: AllureRelease) -> bool:
    """True when the jar in `engine` is that of `release`."""
    return (engine / "lib" / f"allure-commandline-{release.version}.jar").is_file()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tests.e2e.real_engine", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--once", action="store_true", help="end when all is shown")
    arguments = parser.parse_args(argv)
    for tool in ("java", "npm"):
        if shutil.which(tool) is None:
            print(f"{tool} is not installed: Java >= 17 and npm are needed", file=sys.stderr)
            return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clears up as after Ctrl-C
    try:
        with Stage() as stage:
            parties = play_or_tell_why_not(stage)
            if parties is not None and not arguments.once:
                wait_for_ctrl_c(*parties)
            return 1 if parties is None else 0
    except KeyboardInterrupt:
        return INTERRUPTED


def play_or_tell_why_not(stage: Stage) -> tuple[Portal, EngineHost] | None:
    """The portal and the engine's host, both still up; None when something went wrong, which is told."""
    try:
        return play(stage, Tale())
    except (DemoFailed, FetchFailed) as err:
        print(f"FAILED  {err}", file=sys.stderr)
        for log in ("portal.log", "updater.log"):
            print(f"{log}:\n{stage.tail(log)}", file=sys.stderr)
        return None


def wait_for_ctrl_c(portal: Portal, host: EngineHost) -> None:
    print(f"\nAllure: {host.url}\nPortal: {portal.url}\nAPI token: {portal.token_file}")
    print("Ctrl-C ends it.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
