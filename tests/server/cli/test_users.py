"""`user`: people who may log in; their passwords come by standard input."""

import io

import pytest

from engineshed_packages import exits
from tests.server.cli.conftest import Command
from tests.vendor import Vendor

PASSWORD = "four words in a row"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard input: what is written here is read by the next command."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdin", stream)
    return stream


def write(typed: io.StringIO, text: str) -> None:
    typed.seek(0)
    typed.truncate()
    typed.write(text)
    typed.seek(0)


def test_a_user_is_added_with_the_password_of_standard_input(portal: Command, typed: io.StringIO) -> None:
    write(typed, f"{PASSWORD}\n")
    said = portal("user", "add", "Anna", "--role", "admin")
    assert (said.code, said.out) == (exits.DONE, "")
    assert "anna may log in as admin" in said.err
    assert PASSWORD not in said.err
    (found,) = portal("user", "list", "--json").values["users"]
    assert (found["name"], found["role"], found["disabled"]) == ("anna", "admin", None)


def test_a_line_that_is_too_long_is_refused_and_not_cut(portal: Command, typed: io.StringIO) -> None:
    write(typed, "four words " * 30)
    said = portal("user", "add", "anna")
    assert (said.code, "password-weak" in said.err) == (exits.FAILED, True)
    assert portal("user", "list", "--json").values["users"] == []


def test_a_user_gets_another_password_is_disabled_and_enabled(portal: Command, typed: io.StringIO) -> None:
    write(typed, PASSWORD)
    portal("user", "add", "anna")
    write(typed, f"other {PASSWORD}\r\n")
    assert "is logged out" in portal("user", "passwd", "anna").err
    for verb, word in (("disable", "logged out"), ("disable", "logged out"), ("enable", "may log in again")):
        said = portal("user", verb, "anna")
        assert (said.code, word in said.err) == (exits.DONE, True)


def test_users_are_listed_for_people(portal: Command, typed: io.StringIO) -> None:
    write(typed, PASSWORD)
    portal("user", "add", "anna")
    portal("user", "disable", "anna")
    titles, line = portal("user", "list").out.splitlines()
    assert titles.split() == ["name", "role", "created", "password_set", "disabled"]
    assert line.startswith("anna  viewer")
    assert "-" not in line.split()


@pytest.mark.parametrize("verb", ["passwd", "disable", "enable"])
def test_an_unknown_user_is_told_before_a_password_is_asked_for(portal: Command, verb: str) -> None:
    said = portal("user", verb, "anna")
    assert said.code == exits.FAILED
    assert "[user-not-found]" in said.err


def test_the_owner_link_is_one_line_of_data(portal: Command) -> None:
    said = portal("user", "owner-link")
    assert said.out.startswith("http://127.0.0.1:8080/first-owner#engineshed-owner-")
    assert said.out.count("\n") == 1
    assert "not shown again" in said.err


def test_the_last_owner_cannot_be_disabled(portal: Command, typed: io.StringIO) -> None:
    write(typed, PASSWORD)
    portal("user", "add", "olga", "--role", "owner")
    assert "[user-last-owner]" in portal("user", "disable", "olga").err


def test_init_prints_the_link_of_the_first_owner(command: Command, vendor: Vendor) -> None:
    said = command("init", "--root", vendor.root_file)
    assert "/first-owner#engineshed-owner-" in said.err
