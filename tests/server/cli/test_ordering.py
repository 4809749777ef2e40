"""`engine order`."""

from pathlib import Path

import pytest

from engineshed_packages import exits
from tests.server.cli.conftest import Command, join, publish
from tests.vendor import PRODUCT, Vendor


@pytest.fixture
def joined(portal: Command, vendor: Vendor, tmp_path: Path) -> str:
    """An engine with 1.0.0; 1.1.0 and 0.9.0 are published."""
    publish(tmp_path, vendor, "0.9.0")
    publish(tmp_path, vendor, "1.1.0")
    return join(tmp_path, portal("enrol-token", "create").out)


def test_an_order_is_given_shown_and_explained(portal: Command, joined: str) -> None:
    said = portal("engine", "order", joined, "restart", "--message", "after the patch", "--json")
    (given,) = said.values["orders"]
    assert (said.code, given["engine"], given["do"], given["state"]) == (
        exits.DONE,
        joined,
        "restart",
        "open",
    )
    shown = portal("engine", "show", joined).out
    assert given["order"] in shown
    assert "after the patch" in shown
    assert portal("engine", "explain", joined).out.startswith(
        "ordered: cli ordered it to restart: after the patch\n"
    )


def test_an_install_of_a_chosen_version(portal: Command, joined: str) -> None:
    said = portal("engine", "order", joined, "install", "0.9.0")
    assert (said.code, "allow the downgrade" in said.err, "[not-newer]" in said.err) == (
        exits.FAILED,
        True,
        True,
    )
    window = ("--window", "2099-01-01T22:00:00Z", "2099-01-02T04:00:00Z")
    said = portal("engine", "order", joined, "install", "0.9.0", "--allow-downgrade", *window)
    assert (said.code, "2099-01-02T04:00:00Z" in said.out) == (exits.DONE, True)


def test_a_held_release_is_ordered_although_it_is(portal: Command, joined: str) -> None:
    portal("release", "hold", PRODUCT, "1.1.0", "--reason", "shaky")
    assert "[held]" in portal("engine", "order", joined, "install", "1.1.0").err
    assert portal("engine", "order", joined, "install", "1.1.0", "--although-held").code == exits.DONE


def test_several_engines_and_a_group(portal: Command, joined: str, tmp_path: Path) -> None:
    other = join(tmp_path, portal("enrol-token", "create", "--group", "berlin").out)
    said = portal("engine", "order", f"{joined},{other}", "stop")
    assert (said.code, "2 given" in said.err) == (exits.DONE, True)
    given = portal("engine", "order", "group:berlin", "start", "--json").values["orders"]
    assert [one["engine"] for one in given] == [other]
    said = portal("engine", "order", f"{joined},eng_nobody", "stop")
    assert (said.code, "1 given" in said.err, "[engine-unknown]" in said.err) == (exits.FAILED, True, True)
    assert "[group-unknown]" in portal("engine", "order", "group:nobody", "stop").err


@pytest.mark.parametrize(
    "words",
    [
        ("dance",),
        ("stop", "--window", "now", "then"),
        ("stop", "--window", "2099-01-02T00:00:00Z", "2099-01-01T00:00:00Z"),
        ("stop", "--accept-within", "soon"),
        ("stop", "--start-before", "tomorrow"),
    ],
)
def test_an_order_that_cannot_be_read_is_a_usage_error(
    portal: Command, joined: str, words: tuple[str, ...]
) -> None:
    assert portal("engine", "order", joined, *words).code == exits.USAGE
    assert portal("engine", "show", joined, "--json").values["orders"] == []
