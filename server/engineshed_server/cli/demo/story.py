"""What happens in the demo, step by step: the main job of Engineshed, once, on this machine."""

from __future__ import annotations

from engineshed_packages.jsontext import Fields, Json
from engineshed_server.cli.demo.cast import EngineHost, PortalSide, Vendor, wait_for
from engineshed_server.cli.demo.screen import Screen
from engineshed_server.cli.demo.stage import DemoFailed, Stage

OLD = "1.0.0"
NEW = "1.1.0"


def play(stage: Stage, screen: Screen) -> PortalSide:
    """Play it all; returns the portal, which still runs.

    Raises:
        DemoFailed: a step did not do what it should.
    """
    vendor, portal, host = Vendor(stage), PortalSide(stage), EngineHost(stage)
    with screen.step("vendor", "makes throw-away signing keys and a repository"):
        vendor.make_keys()
    with screen.step("portal", "starts: SQLite, local files, one process tree"):
        portal.start(vendor.root)
    with screen.step("vendor", f"builds, signs and bundles sample-engine {OLD}"):
        first = vendor.release(OLD, "The first release.")
    with screen.step("portal", f"takes the bundle of {OLD} in and publishes it"):
        portal.make_token()
        portal.upload(first)
    with screen.step("engine", "joins the portal with a one-time token"):
        host.enrol(portal.enrolment_line(), vendor.root)
    with screen.step("engine", f"is installed by its updater: {OLD} runs and is healthy"):
        host.install(first)
        _expect(host.version(), OLD, "the engine")
        host.start_updater()
    with screen.step("vendor", f"builds, signs and bundles sample-engine {NEW}"):
        second = vendor.release(NEW, "Greets more warmly.")
    with screen.step("portal", f"takes the bundle of {NEW} in and offers it at once"):
        portal.upload(second)
    with screen.step("engine", f"polls, downloads, verifies, swaps, proves {NEW} healthy"):
        attempt = wait_for(lambda: _attempt(portal), f"the portal hears that {NEW} runs")
        _expect(attempt.text("outcome"), "OK", "the attempt")
        _expect(host.version(), NEW, "the engine")
    _show_result(screen, portal, host)
    return portal


def _attempt(portal: PortalSide) -> Fields | None:
    """The engine's attempt to become NEW as the portal knows it, or None before its report."""
    attempts = Fields(portal.engine(), "engine").objects("attempts", max_items=100)
    for values in attempts:
        attempt = Fields(values, "attempt")
        if attempt.text_or_none("to") == NEW:
            return attempt
    return None


def _expect(found: str, expected: str, who: str) -> None:
    if found != expected:
        raise DemoFailed(f"{who} says {found}, expected {expected}")


def _show_result(screen: Screen, portal: PortalSide, host: EngineHost) -> None:
    screen.title("update.log")
    screen.lines(host.update_log())
    engine: dict[str, Json] = portal.engine()
    screen.title(f"Done in {screen.elapsed_s:.0f} s")
    screen.lines(
        [
            f"portal says    engine {engine['engine']} runs {engine['version']}",
            f"engine says    {host.version()} at {host.address}",
            f"kept aside     {', '.join(host.previous())}",
        ]
    )
