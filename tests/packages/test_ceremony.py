"""`engineshed-packages keys …` as people meet it: everything at hand, or each key on a machine of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engineshed_packages.repository import Repository
from tests.packages.forgery import contents
from tests.packages.shell import Shell, released
from tests.vendor import PRODUCT

PROPOSAL = Path("root.proposal")


def published() -> Any:
    """What the repository in the working folder publishes."""
    return Repository(Path("repository")).published()


def verifies(shell: Shell, *, root_version: int) -> None:
    """The repository, and a bundle of it, verify from the root that was handed out first."""
    found = shell.data("verify", "repository", "--root", "root.json")
    assert found["root_version"] == root_version
    assert shell.run("bundle", "--metadata-only", "--output", "check.zip") == 0
    assert shell.run("verify", "check.zip", "--root", "root.json") == 0


@pytest.fixture
def holders(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Production: root 2 of 3 and targets, each key on a stick of its own with a passphrase of its own."""
    monkeypatch.setenv("ENGINESHED_KEY_PASSPHRASE_FILE", "passphrase")
    assert shell.run("keys", "init", "--product", PRODUCT, "--root-keys", "3", "--threshold", "2") == 0
    for name in ("root-1", "root-2", "root-3", "targets"):
        Path(name).mkdir()
        shutil.move(f"keys/{name}.pem", name)
        shutil.copy(f"keys/{name}.pub", name)
    return shell


# --- everything at hand


@pytest.mark.parametrize("role", ["root", "targets", "online", PRODUCT])
def test_with_all_keys_here_one_command_replaces_a_key_and_writes_the_bundle(ready: Shell, role: str) -> None:
    released(ready)
    told = ready.data("keys", "rotate", "--role", role)
    assert told["changed"] is True
    assert ready.run("verify", str(told["bundle"]), "--root", "root.json") == 0
    verifies(ready, root_version=1 if role == PRODUCT else 2)


def test_it_says_which_key_to_destroy_and_status_shows_it_as_unused(ready: Shell) -> None:
    ready.run("keys", "rotate", "--role", "online")
    assert "destroy them: online" in ready.err
    found = ready.data("keys", "status")
    roles = found["roles"]
    assert isinstance(roles, list)
    names = {role["name"]: [key["name"] for key in role["keys"]] for role in roles}
    assert (names["timestamp"], names["snapshot"], found["unused"]) == (
        ["online-2"],
        ["online-2"],
        ["online"],
    )


def test_status_shows_each_roles_keys_and_life_and_needs_no_passphrase(
    ready: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENGINESHED_KEY_PASSPHRASE_FILE")
    Path("keys", "root-1.pem").unlink()
    assert ready.run("keys", "status") == 0
    lines = {line.split()[0]: line for line in ready.out.splitlines()}
    assert "1 of root-1 (" in lines["root"]
    assert ", here)" not in lines["root"]
    assert "version 1, 1094 days left, 1 of online (" in lines["timestamp"]
    assert ", here)" in lines[PRODUCT]


def test_a_new_product_is_added_released_and_taken_away(ready: Shell) -> None:
    assert ready.run("keys", "add-product", "other") == 0
    assert "product-other" in {path.stem for path in Path("keys").iterdir()}
    assert set(published().roles) == {"targets", PRODUCT, "other"}
    assert ready.run("keys", "remove-product", "other") == 0
    assert set(published().roles) == {"targets", PRODUCT}


def test_a_key_that_is_not_here_is_named_and_no_key_is_made_in_vain(holders: Shell) -> None:
    before = contents(Path("keys"))
    assert holders.run("keys", "rotate", "--role", "online") == 78
    assert "root-1.pem, root-2.pem, root-3.pem" in holders.err
    assert "--proposal" in holders.err
    assert contents(Path("keys")) == before


def test_a_role_with_several_keys_asks_which(holders: Shell) -> None:
    assert holders.run("keys", "rotate", "--role", "root", "--proposal", PROPOSAL) == 1
    assert "--remove" in holders.err


def test_a_passphrase_is_read_from_a_file_also_for_a_proposal(
    holders: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENGINESHED_KEY_PASSPHRASE_FILE")
    assert holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL) == 78
    given = ("--passphrase-file", "passphrase")
    assert holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL, *given) == 0


# --- each key on a machine of its own


def sign(shell: Shell, *names: str, file: Path = PROPOSAL) -> int:
    keys = [word for name in names for word in ("--key", f"{name}/{name}.pem")]
    return shell.run("keys", "sign", file, *keys, "--root", "root.json")


def test_a_stolen_online_key_is_replaced_by_two_of_three_people(holders: Shell) -> None:
    before = contents(Path("repository/metadata"))
    assert holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL) == 0
    assert "missing 2 of root-1" in holders.out
    assert contents(Path("repository/metadata")) == before
    assert sign(holders, "root-1") == 0
    assert "Not complete" in holders.err
    assert holders.run("keys", "apply", PROPOSAL) == 78
    assert "[signatures-missing]" in holders.err
    assert contents(Path("repository/metadata")) == before
    assert sign(holders, "root-3") == 0
    assert "Complete" in holders.err
    assert holders.run("keys", "apply", PROPOSAL) == 0
    verifies_metadata(holders, root_version=2)


def verifies_metadata(shell: Shell, *, root_version: int) -> None:
    """As ``verifies``, for a repository without a release."""
    assert shell.run("bundle", "--metadata-only", "--output", "check.zip") == 0
    assert shell.data("verify", "check.zip", "--root", "root.json")["root_version"] == root_version


def test_two_who_sign_copies_apart_are_put_together(holders: Shell) -> None:
    holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL)
    copies = [Path(f"copy-{name}") for name in ("root-1", "root-2")]
    for copy, name in zip(copies, ("root-1", "root-2"), strict=True):
        shutil.copy(PROPOSAL, copy)
        assert sign(holders, name, file=copy) == 0
    assert holders.data("keys", "status", *copies)["complete"] is True
    assert holders.run("keys", "apply", *copies) == 0


def test_two_different_proposals_are_not_put_together(holders: Shell) -> None:
    for name in ("one", "two"):
        holders.run("keys", "rotate", "--role", "online", "--proposal", name)
    assert holders.run("keys", "status", "one", "two") == 1
    assert "[proposal-differs]" in holders.err


def test_a_root_key_that_was_made_elsewhere_comes_as_its_public_half(holders: Shell) -> None:
    assert holders.run("keys", "new", "root-4", "--keys", "root-4") == 0
    shutil.copy("root-4/root-4.pub", ".")
    given = ("--remove", "root-2", "--add", "root-4.pub", "--proposal", PROPOSAL)
    assert holders.run("keys", "rotate", "--role", "root", *given) == 0
    assert sign(holders, "root-1", "root-4") == 0
    assert holders.run("keys", "apply", PROPOSAL) == 78  # of the keys before only root-1 has signed
    assert sign(holders, "root-3") == 0
    assert holders.run("keys", "apply", PROPOSAL) == 0
    verifies_metadata(holders, root_version=2)


def test_a_stolen_key_of_a_product_is_replaced_by_the_targets_key(holders: Shell) -> None:
    assert holders.run("keys", "rotate", "--role", PRODUCT, "--proposal", PROPOSAL) == 0
    assert sign(holders, "targets") == 0
    told = holders.data("keys", "apply", PROPOSAL)
    assert told["changed"] is True
    assert Path("keys", f"product-{PRODUCT}-2.pem").exists()
    verifies_metadata(holders, root_version=1)


def test_a_stolen_targets_key_is_replaced_by_root_and_the_new_key(holders: Shell) -> None:
    holders.run("keys", "new", "targets-2", "--keys", "targets-2")
    given = ("--remove", "targets", "--add", "targets-2/targets-2.pub", "--proposal", PROPOSAL)
    assert holders.run("keys", "rotate", "--role", "targets", *given) == 0
    assert sign(holders, "root-1", "root-2") == 0
    assert holders.run("keys", "apply", PROPOSAL) == 78
    assert sign(holders, "targets-2") == 0
    assert holders.run("keys", "apply", PROPOSAL) == 0
    verifies_metadata(holders, root_version=2)


def test_root_is_signed_anew_each_year_by_a_proposal(holders: Shell) -> None:
    assert holders.run("refresh", "--role", "root", "--proposal", PROPOSAL) == 0
    assert sign(holders, "root-2", "root-3") == 0
    assert holders.run("keys", "apply", PROPOSAL) == 0
    verifies_metadata(holders, root_version=2)


def test_who_signs_sees_what_would_change_and_not_only_what_is_said(holders: Shell) -> None:
    holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL)
    values = json.loads(PROPOSAL.read_bytes())
    values["change"] = "nothing to worry about"
    PROPOSAL.write_text(json.dumps(values))
    assert holders.run("keys", "status", PROPOSAL) == 0
    assert "timestamp: comes online-2 (" in holders.out
    assert "timestamp: goes online (" in holders.out


def test_a_proposal_that_hides_its_change_behind_another_base_is_not_signed(holders: Shell) -> None:
    """Else it would show no difference to who signs it."""
    holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL)
    values = json.loads(PROPOSAL.read_bytes())
    values["base"]["signed"]["roles"] = values["parts"]["root"]["signed"]["roles"]
    values["base"]["signed"]["keys"] = values["parts"]["root"]["signed"]["keys"]
    PROPOSAL.write_text(json.dumps(values))
    before = PROPOSAL.read_bytes()
    assert sign(holders, "root-1") == 65
    assert "[proposal-base]" in holders.err
    assert PROPOSAL.read_bytes() == before


def test_a_proposal_is_never_overwritten_by_another(holders: Shell) -> None:
    holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL)
    before, keys = PROPOSAL.read_bytes(), contents(Path("keys"))
    assert holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL) == 78
    assert "[file-exists]" in holders.err
    assert (PROPOSAL.read_bytes(), contents(Path("keys"))) == (before, keys)


def test_applied_again_it_says_so_and_changes_nothing(holders: Shell) -> None:
    holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL)
    sign(holders, "root-1", "root-2")
    assert holders.run("keys", "apply", PROPOSAL) == 0
    before = contents(Path("repository"))
    assert holders.data("keys", "apply", PROPOSAL)["changed"] is False
    assert contents(Path("repository")) == before


def test_a_key_nobody_asked_for_and_one_that_is_not_there_are_named(holders: Shell) -> None:
    holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL)
    assert sign(holders, "targets") == 78
    assert "[key-not-asked]" in holders.err
    assert holders.run("keys", "sign", PROPOSAL, "--key", "root-1/other.pem") == 78
    assert "[key-missing]" in holders.err


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"format": 2}', b'{"format": 1, "change": "x", "parts": {"root": 1}}']
)
def test_what_is_no_proposal_is_78(shell: Shell, content: bytes) -> None:
    Path("no.proposal").write_bytes(content)
    assert shell.run("keys", "status", "no.proposal") == 78
    assert "[proposal-unreadable]" in shell.err


def test_nothing_a_proposal_says_reaches_the_terminal_unescaped(holders: Shell) -> None:
    holders.run("keys", "rotate", "--role", "online", "--proposal", PROPOSAL)
    values = json.loads(PROPOSAL.read_bytes())
    values["change"] = "\x1b[2J"
    values["names"] = dict.fromkeys(values["names"], "\x1b[2J")
    PROPOSAL.write_text(json.dumps(values))
    holders.run("keys", "status", PROPOSAL)
    assert "\x1b" not in holders.out + holders.err
