"""deploy/: systemd takes the units, what they start exists, and the examples are valid configuration."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engineshed_client.settings import ENV_BASE
from engineshed_server.settings import FIELDS, load_settings
from tests.conftest import require

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
UNITS = sorted(path.name for path in DEPLOY.glob("*.service"))
INSTALLED = "/opt/engineshed/bin"
# systemd's own measure, 0 to 10; at 2.5 the usual sandbox options are all there.
MAX_EXPOSURE_TENTHS = 25


def _rendered(folder: Path, unit: str) -> Path:
    """The unit with the commands of this environment in place of those under /opt."""
    text = (DEPLOY / unit).read_text("utf-8")
    assert INSTALLED in text
    rendered = folder / unit
    rendered.write_text(text.replace(INSTALLED, str(Path(sys.executable).parent)), encoding="utf-8")
    return rendered


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    require(tool is not None, "systemd-analyze")
    command = [str(tool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def _commands(unit: str) -> list[list[str]]:
    return [
        line.removeprefix("ExecStart=").split()
        for line in (DEPLOY / unit).read_text("utf-8").splitlines()
        if line.startswith("ExecStart=")
    ]


def test_there_is_a_unit_for_portal_updater_and_recovery() -> None:
    assert UNITS == [f"engineshed-{name}.service" for name in ("portal", "recover", "updater")]


def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    rendered = [str(_rendered(tmp_path, unit)) for unit in UNITS]
    run = _analyze("verify", "--man=no", *rendered)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_hardened_by_systemds_own_measure(tmp_path: Path, unit: str) -> None:
    rendered = str(_rendered(tmp_path, unit))
    run = _analyze("security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE_TENTHS}", rendered)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_starts_a_command_that_exists(unit: str) -> None:
    ((program, *words),) = _commands(unit)
    here = str(Path(sys.executable).parent / Path(program).name)
    run = subprocess.run([here, *words, "--help"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert words[-1] in run.stdout


def test_stopping_the_updater_leaves_its_engine_running() -> None:
    assert "KillMode=process\n" in (DEPLOY / "engineshed-updater.service").read_text("utf-8")


def test_the_updaters_unit_starts_the_launcher() -> None:
    assert _commands("engineshed-updater.service") == [
        [f"{INSTALLED}/python", "-m", "engineshed_client.launcher", "run"]
    ]


def test_recovery_runs_before_the_updater() -> None:
    assert "Before=engineshed-updater.service\n" in (DEPLOY / "engineshed-recover.service").read_text("utf-8")


def test_the_example_of_portal_toml_is_valid_as_it_stands() -> None:
    assert load_settings(DEPLOY / "portal.toml.example", {}).name == "Engineshed"


def test_what_the_example_of_portal_toml_leaves_out_in_comments_is_valid_too(tmp_path: Path) -> None:
    text = (DEPLOY / "portal.toml.example").read_text("utf-8")
    complete = tmp_path / "portal.toml"
    complete.write_text(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE), encoding="utf-8")
    assert tomllib.loads(complete.read_text("utf-8")) != tomllib.loads(text)
    assert load_settings(complete, {}).ca_file == Path("/etc/engineshed/ca.pem")


def test_env_example_names_only_settings_that_exist() -> None:
    text = (DEPLOY / "env.example").read_text("utf-8")
    assignments = dict(re.findall(r"^(ENGINESHED_\w+)=(.*)$", text, re.MULTILINE))
    known = {field.env for field in FIELDS} | {
        f"{field.env}_FILE" for field in FIELDS if field.hide is not None
    }
    assert set(assignments) - known == {ENV_BASE}
