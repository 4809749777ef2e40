"""`order-key` and `portals`."""

from pathlib import Path

import pytest

from engineshed_packages import exits
from engineshed_packages.enrolment import EnrolLine
from tests.server.cli.conftest import Command, join


@pytest.fixture
def joined(portal: Command, tmp_path: Path) -> str:
    return join(tmp_path, portal("enrol-token", "create").out)


def _keys(portal: Command) -> dict[str, tuple[str, str]]:
    """Role to fingerprint and where its private part is."""
    lines = portal("order-key", "list").out.splitlines()[1:]
    return {line.split()[1]: (line.split()[0], line.split()[2]) for line in lines}


def test_the_active_key_is_rotated_and_the_former_one_kept_as_long_as_it_is_needed(
    portal: Command, joined: str
) -> None:
    first = _keys(portal)["active"][0]
    said = portal("order-key", "rotate")
    assert (said.code, "1 engines are told at their next poll" in said.err) == (exits.DONE, True)
    keys = _keys(portal)
    assert (keys["former"], keys["active"][0] == first) == ((first, "here"), False)
    line = EnrolLine.parse(portal("enrol-token", "create").out)
    assert line.order_key == keys["active"][0]
    assert portal("portals", "show", "--json").values["behind"] == 1
    said = portal("order-key", "retire", first)
    assert (said.code, "[order-key-needed]" in said.err) == (exits.FAILED, True)
    portal("engine", "revoke", joined)
    assert portal("order-key", "retire", first).code == exits.DONE
    assert portal("engine", "list").code == exits.DONE


def test_a_lost_key_is_told_with_what_to_do_and_the_standby_key_recovers_it(
    portal: Command, joined: str, tmp_path: Path
) -> None:
    data, offline = tmp_path / "data", tmp_path / "offline.pem"
    (data / "standby-order-key.pem").rename(offline)
    standby = _keys(portal)["standby"][0]
    (data / "secrets" / "order.pem").unlink()
    said = portal("engine", "list")
    assert (said.code, "order-key recover --standby FILE" in said.err) == (exits.CONFIGURATION, True)
    assert _keys(portal)["active"][1] == "not"
    said = portal("order-key", "recover", "--standby", offline, "--new-standby", tmp_path / "next.pem")
    assert (said.code, f"Take {tmp_path / 'next.pem'} away" in said.err) == (exits.DONE, True)
    assert _keys(portal)["active"] == (standby, "here")
    assert portal("engine", "list").code == exits.DONE
    again = portal("order-key", "recover", "--standby", offline)
    assert (again.code, "[standby-key-wrong]" in again.err) == (exits.FAILED, True)


def test_a_standby_key_is_never_written_over(portal: Command, tmp_path: Path) -> None:
    kept = tmp_path / "kept.pem"
    kept.write_text("the only copy")
    said = portal("order-key", "rotate", "--new-standby", kept)
    assert (said.code, kept.read_text()) == (exits.CONFIGURATION, "the only copy")
    assert "former" not in _keys(portal)


def test_addresses_are_set_and_shown(portal: Command, joined: str) -> None:
    said = portal("portals", "set", "https://new.example", "https://old.example/")
    assert (said.code, "Keep the old address working" in said.err, "portal.public_url is" in said.err) == (
        exits.DONE,
        True,
        True,
    )
    shown = portal("portals", "show").out
    assert "portal       https://new.example\nportal       https://old.example\n" in shown
    assert "1, of which 1 do not know" in shown
    again = portal("portals", "set", "https://new.example", "https://old.example")
    assert again.err == "these are the addresses already\n"


@pytest.mark.parametrize("words", [(), ("ftp://x",), ("https://a", "https://a")])
def test_addresses_that_make_no_sense_are_refused(portal: Command, words: tuple[str, ...]) -> None:
    assert portal("portals", "set", *words).code != exits.DONE
