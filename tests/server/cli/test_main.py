"""The command as a whole: help, exit codes, and what is not loaded."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from engineshed_packages import exits
from engineshed_packages.errors import FileRefused, PackagesError, SourceRefused, Unavailable
from engineshed_packages.transport.answers import HttpRefused
from engineshed_server import errors
from engineshed_server.cli.main import CODES, COMMANDS, exit_code
from tests.server.cli.conftest import Command


def test_the_help_lists_every_command(command: Command) -> None:
    said = command("--help").out
    assert [name for name in COMMANDS if f"  {name} " not in said] == []


def test_the_help_tells_every_exit_code(command: Command) -> None:
    said = command("--help").out
    assert [code for code in CODES if f"{code}  {exits.MEANING[code]}" not in said] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(command: Command, name: str) -> None:
    said = command(name, "--help")
    assert said.code == exits.DONE
    assert said.out.startswith(f"Usage: engineshed-server {name}")


@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
def test_no_list_of_commands_is_cut_off(command: Command, name: str) -> None:
    assert "..." not in command(*name.split(), "--help").out.replace("[ARGS]...", "")


@pytest.mark.parametrize(
    ("err", "code"),
    [
        (errors.SettingsRefused(["x"]), 78),
        (errors.SetupRefused("setup-missing", "x"), 78),
        (errors.NotAuthenticated("token-missing", "x"), 77),
        (errors.NotAllowed("api-token-scope", "x"), 77),
        (errors.TryLater("database-unavailable", "x"), 75),
        (errors.NotFound("engine-unknown", "x"), 1),
        (errors.Refused("enrol-token-terms", "x"), 1),
        (HttpRefused("http-401", "x", status=401), 77),
        (HttpRefused("http-403", "x", status=403), 77),
        (HttpRefused("http-409", "x", status=409), 1),
        (HttpRefused("http-413", "x", status=413), 1),
        (HttpRefused("http-422", "x", status=422), 65),
        (Unavailable("unreachable", "x"), 69),
        (Unavailable("http-503", "x", status=503), 75),
        (SourceRefused("not-json", "x"), 1),
        (FileRefused("file-missing", "x"), 74),
    ],
)
def test_each_error_has_its_exit_code(err: errors.ServerError | PackagesError, code: int) -> None:
    assert exit_code(err) == code


def test_wrong_usage_is_2(command: Command) -> None:
    assert command("nonsense").code == exits.USAGE
    assert command("config", "show", "--nonsense").code == exits.USAGE


def test_all_faults_of_the_configuration_are_told_together(command: Command, tmp_path: Path) -> None:
    (tmp_path / "portal.toml").write_text("[web]\nworkers = 0\nthreads = 'x'\n[nowhere]\n", "utf-8")
    said = command("config", "show")
    assert said.code == exits.CONFIGURATION
    assert [word for word in ("web.workers", "web.threads", "nowhere") if word not in said.err] == []


def test_a_folder_that_cannot_be_made_is_a_fault_of_the_configuration(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "root.json").write_text("{}")
    said = command("init", "--root", tmp_path / "root.json", "--set", f"portal.data_dir={tmp_path}/file/data")
    assert said.code == exits.CONFIGURATION


def test_data_goes_to_stdout_and_talk_to_stderr(portal: Command) -> None:
    said = portal("token", "create")
    assert len(said.out.split()) == 1
    assert "not shown again" in said.err


def test_quiet_leaves_the_talk_away_and_not_the_errors(portal: Command) -> None:
    said = portal("token", "create", "--quiet")
    assert len(said.out.split()) == 1
    assert said.err == ""
    assert "engine-unknown" in portal("engine", "show", "eng_x", "-q").err


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    program = os.path.join(sysconfig.get_path("scripts"), "engineshed-server")
    done = subprocess.run(
        ["sh", "-c", f"{program} config show | head -c 1"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


@pytest.mark.parametrize("words", ["['--version']", "['config', 'show']", "['upload', '--help']"])
def test_a_command_that_needs_no_database_loads_none(words: str) -> None:
    code = (
        "import sys\nfrom engineshed_server.cli import main\n"
        f"main({words})\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'flask', 'gunicorn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
