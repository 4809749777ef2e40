"""`init`, `config show`, `db`: making a portal and looking after it."""

import os
import stat
from pathlib import Path

import pytest

from engineshed_packages import exits
from engineshed_server.cli.main import main
from tests.server.cli.conftest import Command
from tests.vendor import Vendor


def test_init_makes_a_portal_and_says_what_to_do_next(
    command: Command, vendor: Vendor, tmp_path: Path
) -> None:
    said = command("init", "--root", vendor.root_file)
    assert said.code == exits.DONE
    assert "standby-order-key.pem" in said.err
    assert "engineshed-server run" in said.err
    assert (tmp_path / "data" / "trusted_root.json").read_bytes() == vendor.root


def test_init_tells_programs_what_it_made(command: Command, vendor: Vendor) -> None:
    values = command("init", "--root", vendor.root_file, "--json").values
    assert values["portal"].startswith("ptl_")
    assert values["order_key"].startswith("sha256:")


def test_secrets_are_for_the_portal_alone(portal: Command, tmp_path: Path) -> None:
    secrets = tmp_path / "data" / "secrets"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (secrets, *secrets.iterdir())]
    assert [oct(mode) for mode in modes if mode & 0o077] == []


def test_a_second_init_changes_nothing(portal: Command, vendor: Vendor, tmp_path: Path) -> None:
    before = (tmp_path / "data" / "secrets" / "order.pem").read_bytes()
    said = portal("init", "--root", vendor.root_file)
    assert said.code == exits.CONFIGURATION
    assert "setup-exists" in said.err
    assert (tmp_path / "data" / "secrets" / "order.pem").read_bytes() == before


def test_a_root_that_is_none_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "root.json").write_text("{}")
    said = command("init", "--root", tmp_path / "root.json")
    assert said.code == exits.CONFIGURATION
    assert not (tmp_path / "data").exists()


def test_a_command_without_a_portal_says_to_make_one(command: Command) -> None:
    said = command("release", "list")
    assert said.code == exits.CONFIGURATION
    assert "init" in said.err


@pytest.mark.parametrize("verb", ["run", "web"])
def test_nothing_is_announced_before_there_is_a_portal(command: Command, verb: str) -> None:
    said = command(verb)
    assert (said.code, len(said.err.splitlines())) == (exits.CONFIGURATION, 1)
    assert "setup-missing" in said.err


@pytest.mark.parametrize("words", [["run"], ["web"], ["release", "list"], ["db", "upgrade"]])
def test_a_damaged_database_is_told_in_one_line(portal: Command, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "data" / "engineshed.db").write_bytes(b"junk" * 4096)
    said = portal(*words)
    assert (said.code, said.out, len(said.err.splitlines())) == (exits.CONFIGURATION, "", 1)
    assert "[database-damaged]" in said.err


@pytest.mark.parametrize("verb", ["run", "web"])
def test_a_database_that_cannot_be_opened_is_told_in_one_line(
    portal: Command, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "data" / "engineshed.db").unlink()
    (tmp_path / "data" / "engineshed.db").mkdir()
    said = portal(verb)
    assert (said.code, len(said.err.splitlines())) == (exits.CONFIGURATION, 1)
    assert "[database-unreadable]" in said.err


@pytest.mark.parametrize("verb", ["run", "web"])
def test_a_data_folder_that_cannot_be_looked_into_is_told_in_one_line(command: Command, verb: str) -> None:
    said = command(verb, "--set", f"portal.data_dir=/{'x' * 300}")
    assert (said.code, len(said.err.splitlines())) == (exits.CONFIGURATION, 1)
    assert "[setup-folder]" in said.err


def test_config_show_tells_where_each_value_came_from(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENGINESHED_WEB_THREADS", "3")
    shown = command("config", "show", "--set", "web.workers=5", "--json").values["settings"]
    assert shown["web.workers"] == {"value": "5", "origin": "flag"}
    assert shown["web.threads"] == {"value": "3", "origin": "ENGINESHED_WEB_THREADS"}
    assert shown["portal.data_dir"]["origin"] == str(tmp_path / "portal.toml")
    assert shown["engines.poll_s"]["origin"] == "default"


def test_config_show_never_shows_a_secret(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINESHED_DATABASE_URL", "postgresql://me:hunter2@db/x")
    said = command("config", "show")
    assert "postgresql+psycopg://me" in said.out
    assert "hunter2" not in said.out


def test_a_secret_in_the_arguments_is_refused(command: Command) -> None:
    said = command("config", "show", "--set", "database.url=postgresql://me:hunter2@db/x")
    assert said.code == exits.USAGE
    assert "ENGINESHED_DATABASE_URL" in said.err
    assert "hunter2" not in said.err


def test_a_setting_without_a_value_is_refused(command: Command) -> None:
    assert command("config", "show", "--set", "web.workers").code == exits.USAGE


def test_the_option_goes_before_the_environment(command: Command, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[web]\nworkers = 7\n", "utf-8")
    shown = command("config", "show", "--config", tmp_path / "other.toml", "--json").values["settings"]
    assert shown["web.workers"]["value"] == "7"


def test_a_fresh_database_is_up_to_date(portal: Command) -> None:
    said = portal("db", "check")
    assert (said.code, said.out) == (exits.DONE, "")


def test_upgrading_twice_changes_nothing(portal: Command) -> None:
    assert [portal("db", "upgrade").code for _ in range(2)] == [exits.DONE, exits.DONE]


def test_an_empty_database_is_told_by_check_and_made_by_upgrade(command: Command, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    missing = command("db", "check")
    assert missing.code == exits.FAILED
    assert "db upgrade" in missing.out
    command("db", "upgrade")
    assert command("db", "check").code == exits.DONE


def test_the_sql_can_be_read_before_it_runs(portal: Command) -> None:
    said = portal("db", "script")
    assert said.code == exits.DONE
    assert "CREATE TABLE" in said.out


def test_root_does_not_work_in_another_users_folder(
    portal: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    owner = (tmp_path / "data").owner()
    if owner == "root":
        os.chown(tmp_path / "data", 12345, -1)
        owner = "#12345"
    assert main(["release", "list"]) == exits.CONFIGURATION
    assert f"sudo -u '{owner}'" in capfd.readouterr().err
