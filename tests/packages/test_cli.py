"""`engineshed-packages` as a release manager meets it: the whole way, the exit codes, the help."""

from __future__ import annotations

import getpass
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import engineshed_packages
from engineshed_packages import repository as repository_module
from engineshed_packages.archive import Item, write_archive
from engineshed_packages.builder import sample_sources
from engineshed_packages.cli import exit_code, main
from engineshed_packages.cli.commands import bundle, refresh_repository
from engineshed_packages.errors import KeyUnusable, Unavailable
from engineshed_packages.locks import exclusive
from tests.conftest import require
from tests.packages.shell import BUNDLE, PACKAGE, Shell, released
from tests.vendor import PASSPHRASE, PRODUCT, Vendor

COMMANDS = [
    *(["keys", "init"], ["build"], ["release"], ["withdraw"], ["bundle"], ["inspect"]),
    *(["verify"], ["refresh"], ["keys", "new"], ["keys", "status"], ["keys", "rotate"], ["keys", "sign"]),
    *(["keys", "apply"], ["keys", "add-product"], ["keys", "remove-product"]),
]


# --- the whole way


def test_from_nothing_to_a_verified_bundle(ready: Shell) -> None:
    released(ready)
    assert ready.run("verify", BUNDLE, "--root", "root.json") == 0
    assert "signed by this vendor" in ready.out


def test_keys_init_makes_2_of_3_root_keys_unless_told_otherwise(shell: Shell) -> None:
    found = shell.data("keys", "init", "--product", "a", "--product", "b", "--passphrase-file", "passphrase")
    assert found["keys"] == ["online", "product-a", "product-b", "root-1", "root-2", "root-3", "targets"]
    roles = json.loads(Path("root.json").read_bytes())["signed"]["roles"]
    assert roles["root"]["threshold"] == 2


def test_keys_init_says_what_to_hand_out_and_what_to_lock_away(ready: Shell) -> None:
    ready.run(
        "keys", "init", "--product", "b", "--keys", "k2", "--repository", "r2", "--root-out", "two.json"
    )
    assert "two.json" in ready.out
    assert "Hand out two.json" in ready.err
    assert "offline" in ready.err


def test_build_shows_both_digests_of_the_package(ready: Shell) -> None:
    found = ready.data("build", *sample_sources("1.1.0"), "--version", "1.1.0")
    assert found["version"] == "1.1.0"
    assert Path(str(found["package"])).exists()
    assert (len(str(found["sha256"])), len(str(found["sha1"]))) == (64, 40)


def test_release_shows_its_terms(ready: Shell) -> None:
    found = ready.data(
        "release",
        PACKAGE,
        "--severity",
        "critical",
        "--floor",
        "0.9",
        "--min-version",
        "0.8",
        "--message",
        "Hi",
    )
    assert isinstance(found["targets"], list)
    (target,) = found["targets"]
    assert (target["severity"], target["floor"], target["message"]) == ("critical", "0.9", "Hi")
    assert target["min_version"] == "0.8"


def test_the_same_release_again_is_done_and_says_so(ready: Shell) -> None:
    released(ready)
    assert ready.run("release", PACKAGE) == 0
    assert "nothing changed" in ready.out


def test_bundle_writes_to_the_file_it_is_given(ready: Shell) -> None:
    released(ready)
    assert ready.run("bundle", PRODUCT, "1.0.0", "--platform", "any", "--output", "mine.zip") == 0
    assert Path("mine.zip").read_bytes() == BUNDLE.read_bytes()


def test_bundle_needs_no_key(ready: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    released(ready)
    monkeypatch.delenv("ENGINESHED_KEY_PASSPHRASE_FILE")
    assert ready.run("bundle", PRODUCT, "1.0.0", "--output", "again.zip") == 0


def test_inspect_shows_a_package(ready: Shell) -> None:
    found = ready.data("inspect", PACKAGE)
    assert found["kind"] == "package"
    assert ready.run("inspect", PACKAGE) == 0
    assert f"{PRODUCT} 1.0.0 for any" in ready.out


def test_inspect_shows_a_bundle_and_says_that_nothing_is_verified(ready: Shell) -> None:
    released(ready)
    assert ready.run("inspect", BUNDLE) == 0
    assert "Version:   1.0.0" in ready.out
    assert "Nothing was verified" in ready.err


def test_verify_takes_the_folder_of_a_repository_too(ready: Shell) -> None:
    released(ready)
    assert ready.data("verify", "repository", "--root", "root.json")["verified"] is True


def test_refresh_raises_the_timestamp(ready: Shell) -> None:
    assert ready.data("refresh")["timestamp_version"] == 2


def test_quiet_leaves_the_talk_away(ready: Shell) -> None:
    assert ready.run("inspect", PACKAGE, "-q") == 0
    assert ready.err == ""


def test_columns_are_aligned(ready: Shell) -> None:
    ready.run("inspect", PACKAGE)
    columns = {len(line) - len(line[10:].lstrip()) for line in ready.out.splitlines() if line}
    assert len(columns) == 1


# --- the passphrase


def test_a_passphrase_is_never_an_argument() -> None:
    for command in COMMANDS:
        assert "--passphrase " not in help_of(command)


def test_without_a_terminal_a_missing_passphrase_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert shell.run("keys", "init", "--product", "a") == 78
    assert "ENGINESHED_KEY_PASSPHRASE_FILE" in shell.err
    assert not Path("keys").exists()


class Terminal(io.StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("second", "code"), [(PASSPHRASE, 0), ("a slip of the finger", 78)])
def test_at_a_terminal_a_new_passphrase_is_asked_for_twice(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, second: str, code: int
) -> None:
    answers = [PASSPHRASE, second]
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda prompt: answers.pop(0))
    assert shell.run("keys", "init", "--product", "a") == code
    assert Path("keys").exists() is (code == 0)


def test_a_line_end_is_no_part_of_the_passphrase(ready: Shell) -> None:
    Path("dos").write_bytes(PASSPHRASE.encode() + b"\r\n")
    assert ready.run("refresh", "--passphrase-file", "dos") == 0


# --- exit codes


def test_a_wrong_passphrase_is_78(ready: Shell) -> None:
    Path("wrong").write_text("not this passphrase")
    assert ready.run("release", PACKAGE, "--passphrase-file", "wrong") == 78
    assert "[passphrase-wrong]" in ready.err


def test_a_passphrase_file_that_is_not_there_is_78(ready: Shell) -> None:
    assert ready.run("refresh", "--passphrase-file", "none") == 78


def test_a_bundle_of_a_stranger_is_65(ready: Shell, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    assert ready.run("verify", stranger.bundle("1.0.0"), "--root", "root.json") == 65
    assert "[metadata-signature]" in ready.err


def test_a_bundle_with_a_wrong_digest_is_65(ready: Shell) -> None:
    released(ready)
    data = BUNDLE.read_bytes()
    at = data.index(b"legacy") + 10
    BUNDLE.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert ready.run("verify", BUNDLE, "--root", "root.json") == 65


def test_altered_notes_are_65(ready: Shell) -> None:
    Path("notes.json").write_text('{"format": 1, "languages": {"en": {"message": "Back up first."}}}')
    assert ready.run("release", PACKAGE, "--notes", "notes.json") == 0
    assert ready.run("verify", "repository", "--root", "root.json") == 0
    (published,) = Path("repository/targets").rglob("*notes.json")
    published.write_text(published.read_text().replace("first", "never"))
    assert ready.run("verify", "repository", "--root", "root.json") == 65
    assert "[content-mismatch]" in ready.err


def test_notes_that_cannot_be_read_stop_the_release(ready: Shell) -> None:
    Path("notes.md").write_text("# News")
    assert ready.run("release", PACKAGE, "--notes", "notes.md") == 1
    assert "notes.md" in ready.err
    assert "[notes-unreadable]" in ready.err


def test_a_bundle_that_is_no_zip_is_65(ready: Shell) -> None:
    Path("no.zip").write_bytes(b"no zip" * 100)
    assert ready.run("verify", "no.zip", "--root", "root.json") == 65
    assert ready.run("inspect", "no.zip") == 65


def test_a_zip_that_is_neither_package_nor_bundle_is_told_so(ready: Shell) -> None:
    write_archive(Path("other.zip"), [Item.of_bytes("a.txt", b"x")])
    assert ready.run("inspect", "other.zip") == 78
    assert "neither" in ready.err


def test_a_repository_without_packages_has_nothing_to_verify(ready: Shell) -> None:
    assert ready.run("verify", "repository", "--root", "root.json") == 65
    assert "[nothing-to-verify]" in ready.err


def test_a_file_that_is_not_there_is_74(ready: Shell) -> None:
    assert ready.run("inspect", "none.zip") == 74


def test_somebody_else_publishing_is_75(ready: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_module, "LOCK_WAIT_S", 0)
    with exclusive(Path("repository") / ".lock", wait_s=0):
        assert ready.run("release", PACKAGE) == 75


def test_other_bytes_under_a_published_version_are_1(ready: Shell) -> None:
    released(ready)
    assert ready.run("build", *sample_sources("1.1.0"), "--version", "1.0.0", "--output", "other") == 0
    assert ready.run("release", Path("other") / PACKAGE.name) == 1
    assert "[release-other-bytes]" in ready.err


def test_a_server_that_is_not_reachable_is_69() -> None:
    assert exit_code(Unavailable("unreachable", "…")) == 69


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["build"], ["release"], ["keys"], ["verify", "x"]])
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "source", "--version", "not a version"],
        ["release", "x.zip", "--floor", "1.0+local"],
        ["bundle", PRODUCT, "one"],
    ],
)
def test_a_version_that_is_none_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_sources_that_cannot_be_built_are_78(shell: Shell) -> None:
    assert shell.run("build", "nowhere", "--version", "1.0.0") == 78
    assert "nowhere" in shell.err
    Path("source").mkdir()
    for text in ("product = ", 'product = "x"', 'product = "A B"'):
        Path("source/package.toml").write_text(text)
        assert shell.run("build", "source", "--version", "1.0.0") == 78


def test_a_file_that_cannot_be_opened_is_named(ready: Shell) -> None:
    assert ready.run("inspect", "absent.zip") == 74
    assert ready.err == "engineshed-packages: absent.zip: No such file or directory [io-error]\n"


def test_a_key_that_is_not_there_is_named(ready: Shell) -> None:
    for name in (f"product-{PRODUCT}.pem", f"product-{PRODUCT}.pub"):
        Path("keys", name).unlink()
        assert ready.run("release", PACKAGE) == 78
        assert f"expected product-{PRODUCT}.pem there" in ready.err


def test_a_passphrase_that_others_may_read_is_warned_of(ready: Shell) -> None:
    Path("passphrase").chmod(0o640)
    assert ready.run("refresh") == 0
    assert "passphrase has mode 0640" in ready.err


def test_an_error_is_json_too_when_asked_for(ready: Shell) -> None:
    assert ready.run("release", PACKAGE, "--floor", "9.9", "--json") == 1
    assert json.loads(ready.out)["error"] == "release-floor"


# --- warnings of ageing roles


def test_a_role_past_80_percent_is_warned_of_with_the_command_that_mends_it(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path)
    now = vendor.tick(days=0.81 * 3 * 365)
    (warning,) = refresh_repository(vendor.repository, vendor.keys, roles=(), now=now).notices
    assert f"refresh --role {PRODUCT}" in warning


def test_a_bundle_no_engine_would_take_is_not_written(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path)
    vendor.release("1.0.0")
    now = vendor.tick(days=3 * 365 + 1)
    with pytest.raises(KeyUnusable) as caught:
        bundle(vendor.repository, PRODUCT, "1.0.0", platforms=(), output=tmp_path / "b.zip", now=now)
    assert caught.value.code == "role-expired"
    assert not (tmp_path / "b.zip").exists()


# --- help


def help_of(command: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "engineshed_packages.cli", *command, "--help"],
        env={"PYTHONPATH": str(Path(engineshed_packages.__file__).parent.parent), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_examples_and_exit_codes(command: list[str]) -> None:
    text = help_of(command)
    assert f"Examples:\n  engineshed-packages {' '.join(command)}" in text
    assert "Exit codes:" in text
    assert "65  bad signature or digest" in text


def test_help_of_the_program_lists_all_commands() -> None:
    text = help_of([])
    assert all(command[0] in text for command in COMMANDS)


def test_inspect_and_verify_work_without_cryptography(ready: Shell) -> None:
    released(ready)
    code = (
        "import sys\n"
        "sys.modules['cryptography'] = None\n"
        "from engineshed_packages.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    for arguments in (["inspect", str(PACKAGE)], ["verify", str(BUNDLE), "--root", "root.json"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={"PYTHONPATH": str(Path(engineshed_packages.__file__).parent.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_nothing_a_bundle_says_reaches_the_terminal_unescaped(ready: Shell) -> None:
    write_archive(Path("evil.zip"), [Item.of_bytes("Version.txt", b"Version: \x1b[2J1.0")])
    assert ready.run("inspect", "evil.zip") == 0
    assert "\x1b" not in ready.out


@pytest.mark.parametrize("output", ["", "--json"])
def test_a_reader_that_goes_away_is_no_traceback(shell: Shell, output: str) -> None:
    """The reader has ended before the first line is printed."""
    require(os.name == "posix", "there is no POSIX shell here")
    vendor = Vendor(shell.folder)
    package = vendor.package("1.0.0")
    command = (
        f"(sleep 0.1; '{sys.executable}' -m engineshed_packages.cli inspect {output} '{package}') | true"
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


# --- what is found in place of what was expected is named


def test_a_text_given_as_a_bundle_is_named(ready: Shell) -> None:
    released(ready)
    for command in (["inspect", "passphrase"], ["verify", "passphrase", "--root", "root.json"]):
        assert ready.run(*command) == 65
        assert "passphrase: the file of " in ready.err
    assert ready.run("release", "passphrase") == 65
    assert "passphrase: the file of " in ready.err


def test_a_package_given_to_verify_is_told_apart(ready: Shell) -> None:
    released(ready)
    assert ready.run("verify", PACKAGE, "--root", "root.json") == 65
    assert "this is a package, not a bundle" in ready.err


def test_a_misspelt_product_is_told_with_those_there_are(ready: Shell) -> None:
    released(ready)
    assert ready.run("bundle", "sample-enginx", "1.0.0") == 1
    assert f"sample-enginx is no product of this repository, which has {PRODUCT}" in ready.err


def test_outside_a_repository_it_is_told_how_to_name_one(ready: Shell) -> None:
    assert ready.run("bundle", PRODUCT, "1.0.0", "--repository", "nowhere") == 65
    assert "--repository" in ready.err


def test_an_address_that_is_none_is_wrong_usage(ready: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    released(ready)
    monkeypatch.setenv("ENGINESHED_TOKEN", "engineshed-api-x")
    with pytest.raises(SystemExit) as caught:
        ready.run("publish", BUNDLE, "--to", "127.0.0.1:8080")
    assert caught.value.code == 2
