"""`enrol-token` and the approval queue of `engine`: how an admin lets hosts in, and keeps them out."""

from pathlib import Path

import pytest

from engineshed_packages import exits
from engineshed_packages.enrolment import EnrolLine
from tests.server.cli.conftest import Command, join, poll_from


def waiting(portal: Command, folder: Path, *words: str) -> str:
    """An engine that joined with a token that needs approval."""
    return join(folder, portal("enrol-token", "create", "--needs-approval", *words).out)


def state_of(portal: Command, engine: str) -> str:
    return str(portal("engine", "show", engine, "--json").values["state"])


def test_a_token_is_told_with_all_its_terms_and_then_its_line(portal: Command) -> None:
    words = ("--uses", "3", "--group", "berlin", "--product", "sample-engine", "--needs-approval")
    said = portal("enrol-token", "create", *words, "--from", "10.0.0.0/8", "--from", "2001:db8::/32")
    assert (
        "For 3 engines with sample-engine of group berlin, from 10.0.0.0/8 or 2001:db8::/32, to be"
        in said.err
    )
    assert EnrolLine.parse(said.out).product == "sample-engine"
    assert said.out.count("\n") == 1


def test_a_token_is_listed_shown_and_revoked(portal: Command) -> None:
    made = portal("enrol-token", "create", "--name", "for Berlin", "--from", "10.0.0.0/8", "--json").values
    secret = EnrolLine.parse(made["line"]).token
    listed, shown = portal("enrol-token", "list"), portal("enrol-token", "show", made["id"])
    assert portal("enrol-token", "list", "--json").values["tokens"] == [
        {name: value for name, value in made.items() if name != "line"}
    ]
    for said in (listed, shown):
        assert "for Berlin" in said.out
        assert "10.0.0.0/8" in said.out
        assert secret not in said.out
    assert [portal("enrol-token", "revoke", made["id"]).code for _ in range(2)] == [exits.DONE, exits.DONE]
    assert portal("enrol-token", "show", made["id"], "--json").values["state"] == "revoked"


@pytest.mark.parametrize(
    "words",
    [("--from", "10.0.0.1/8"), ("--product", "No Product"), ("--replaces", "eng_x"), ("--group", "A b")],
)
def test_terms_that_make_no_sense_are_told(portal: Command, words: tuple[str, str]) -> None:
    said = portal("enrol-token", "create", *words)
    assert said.code != exits.DONE
    assert words[1] in said.err
    assert said.out == ""


@pytest.mark.parametrize("verb", ["show", "revoke"])
def test_an_unknown_token_is_told(portal: Command, verb: str) -> None:
    said = portal("enrol-token", verb, "tok_x")
    assert (said.code, "no-such-enrol-token" in said.err) == (exits.FAILED, True)


def test_who_waits_is_listed_and_explained(portal: Command, tmp_path: Path) -> None:
    other = join(tmp_path, portal("enrol-token", "create").out)
    engine = waiting(portal, tmp_path)
    listed = portal("engine", "list", "--state", "waiting")
    assert engine in listed.out
    assert other not in listed.out
    assert portal("engine", "explain", engine).out.startswith("waiting-for-approval: ")


def test_engines_are_approved_by_name(portal: Command, tmp_path: Path) -> None:
    one, two = waiting(portal, tmp_path), waiting(portal, tmp_path)
    said = portal("engine", "approve", one, two)
    assert (said.out.split(), said.err) == (sorted((one, two)), "2 engines approved\n")
    assert (state_of(portal, one), state_of(portal, two)) == ("enrolled", "enrolled")
    assert portal("engine", "approve", one).err == "0 engines approved, 1 were already\n"


def test_engines_are_approved_by_group_or_all_together(portal: Command, tmp_path: Path) -> None:
    one, two = waiting(portal, tmp_path, "--group", "berlin"), waiting(portal, tmp_path)
    assert portal("engine", "approve", "--group", "berlin").out.split() == [one]
    assert portal("engine", "approve", "--all").out.split() == [two]


def test_engines_are_rejected_and_approved_after_all(portal: Command, tmp_path: Path) -> None:
    engine = waiting(portal, tmp_path)
    assert portal("engine", "reject", engine).out.split() == [engine]
    assert state_of(portal, engine) == "rejected"
    assert portal("engine", "explain", engine).out.startswith("engine-rejected: ")
    assert portal("engine", "approve", engine).out.split() == [engine]


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("words", [(), ("--all", "--group", "x"), ("eng_x", "--all")])
def test_it_must_be_clear_whom_is_decided_on(portal: Command, verb: str, words: tuple[str, ...]) -> None:
    assert portal("engine", verb, *words).code == exits.USAGE


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_an_unknown_engine_is_told(portal: Command, verb: str) -> None:
    said = portal("engine", verb, "eng_x")
    assert (said.code, "engine-unknown" in said.err) == (exits.FAILED, True)


def test_an_enrolled_engine_is_not_rejected(portal: Command, tmp_path: Path) -> None:
    said = portal("engine", "reject", join(tmp_path, portal("enrol-token", "create").out))
    assert said.code != exits.DONE
    assert "[engine-state]" in said.err


def test_two_hosts_are_told_with_the_way_out_and_it_ends_the_trouble(portal: Command, tmp_path: Path) -> None:
    engine = join(tmp_path, portal("enrol-token", "create").out)
    poll_from(tmp_path, engine, boots="ABAB")
    told = portal("engine", "show", engine).err
    assert f"enrol-token create --replaces {engine}" in told
    made = portal("enrol-token", "create", "--replaces", engine)
    assert f"For the host that takes the place of engine {engine}" in made.err
    assert join(tmp_path, made.out, host_name="the rightful one") == engine
    shown = portal("engine", "show", engine, "--json").values
    assert (shown["two_hosts"], shown["host_name"], shown["two_hosts_since"]) == (
        False,
        "the rightful one",
        None,
    )
