"""`emergency-stop` and `release hold|unhold`."""

from pathlib import Path

from engineshed_packages import exits
from tests.server.cli.conftest import Command, join, publish
from tests.vendor import PRODUCT, Vendor


def test_a_stop_is_turned_on_listed_and_turned_off(portal: Command, tmp_path: Path) -> None:
    join(tmp_path, portal("enrol-token", "create").out)
    on = portal("emergency-stop", "on", "--product", PRODUCT, "--reason", "it burns")
    assert (on.code, on.err) == (exits.DONE, f"the emergency stop is on for {PRODUCT}, 1 engine\n")
    (listed,) = portal("emergency-stop", "list", "--json").values["stops"]
    assert (listed["product"], listed["channel"], listed["reason"], listed["began_by"]) == (
        PRODUCT,
        None,
        "it burns",
        "cli",
    )
    assert "it burns" in portal("emergency-stop", "list").out
    off = portal("emergency-stop", "off", "--product", PRODUCT, "--reason", "it is out")
    assert off.err == f"the emergency stop for {PRODUCT} is off, 1 engine\n"
    assert portal("emergency-stop", "list", "--json").values == {"stops": []}


def test_a_stop_that_covers_nothing_makes_one_look_at_the_name(portal: Command) -> None:
    assert "check the names" in portal("emergency-stop", "on", "--product", "x", "--reason", "typo").err


def test_a_second_stop_of_the_same_scope_is_told(portal: Command) -> None:
    portal("emergency-stop", "on", "--reason", "first")
    assert "was on already: first" in portal("emergency-stop", "on", "--reason", "second").err


def test_what_is_still_stopped_is_told(portal: Command) -> None:
    portal("emergency-stop", "on", "--channel", "beta", "--reason", "shaky")
    portal("emergency-stop", "on", "--reason", "all of it")
    said = portal("emergency-stop", "off", "--reason", "done")
    assert "still on for channel beta of all products: shaky" in said.err


def test_a_stop_that_is_not_on_cannot_be_turned_off(portal: Command) -> None:
    said = portal("emergency-stop", "off", "--reason", "done")
    assert (said.code, "stop-unknown" in said.err) == (exits.FAILED, True)


def test_a_stop_needs_a_reason(portal: Command) -> None:
    assert portal("emergency-stop", "on").code == exits.USAGE


def test_a_release_is_held_shown_and_let_go(portal: Command, vendor: Vendor, tmp_path: Path) -> None:
    publish(tmp_path, vendor, "1.1.0")
    joined = join(tmp_path, portal("enrol-token", "create").out)
    assert portal("release", "hold", PRODUCT, "1.1", "--reason", "fails in Lyon").code == exits.DONE
    assert portal("release", "list").out.splitlines()[-1].endswith("held")
    assert "held: fails in Lyon" in portal("release", "show", PRODUCT, "1.1.0").out
    assert portal("release", "show", PRODUCT, "1.1.0", "--json").values["hold_reason"] == "fails in Lyon"
    assert "fails in Lyon" in portal("engine", "explain", joined).out
    assert "was already on hold" in portal("release", "hold", PRODUCT, "1.1", "--reason", "again").err
    portal("release", "unhold", PRODUCT, "1.1.0", "--reason", "mended")
    assert portal("engine", "explain", joined, "--json").values["code"] == "offer"
    assert "was not on hold" in portal("release", "unhold", PRODUCT, "1.1", "--reason", "again").err
