"""deploy/: systemd takes the units, what they start exists, and the examples are valid configuration."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engineshed_client.cli.arguments import build_parser
from engineshed_server.settings import FIELDS, load_settings
from tests.conftest import require

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
UNITS = sorted(path.name for path in DEPLOY.glob("*.service"))
INSTALLED = "/opt/engineshed/bin"


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


def _documented_exposure() -> dict[str, float]:
    """systemd's own measure, 0 to 10, as docs/services.md tells it."""
    text = (DEPLOY.parent / "docs/services.md").read_text("utf-8")
    return {
        unit: float(score) for unit, score in re.findall(r"^\| `(\S+\.service)` \| (\d\.\d) \|", text, re.M)
    }


def test_the_exposure_of_every_unit_is_documented() -> None:
    assert sorted(_documented_exposure()) == UNITS


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_not_more_exposed_than_documented(tmp_path: Path, unit: str) -> None:
    threshold = round(_documented_exposure()[unit] * 10)
    rendered = str(_rendered(tmp_path, unit))
    run = _analyze("security", "--offline=true", "--no-pager", f"--threshold={threshold}", rendered)
    assert run.returncode == 0, run.stdout


def test_the_units_are_what_service_install_writes(tmp_path: Path) -> None:
    program = str(DEPLOY / "render_units.py")
    subprocess.run([sys.executable, program, str(tmp_path)], check=True, timeout=60)
    found = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    kept = {unit: (DEPLOY / unit).read_text("utf-8") for unit in UNITS}
    assert kept == found, "run `make units`"


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_starts_a_command_that_exists(unit: str) -> None:
    ((program, *words),) = _commands(unit)
    here = str(Path(sys.executable).parent / Path(program).name)
    run = subprocess.run([here, *words, "--help"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert {"run", "recover"} & set(words) & set(run.stdout.split())


def test_stopping_the_updater_leaves_its_engine_running() -> None:
    assert "KillMode=process\n" in (DEPLOY / "engineshed-updater.service").read_text("utf-8")


def test_the_updaters_unit_starts_the_launcher() -> None:
    assert _commands("engineshed-updater.service") == [
        [f"{INSTALLED}/python", "-m", "engineshed_client.launcher", "--base", "/opt/engine", "run"]
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
    assert assignments
    assert set(assignments) - known == set()


@pytest.mark.parametrize("script", sorted(path.name for path in (DEPLOY / "windows").glob("*.ps1")))
def test_the_scripts_for_windows_call_commands_that_there_are(script: str) -> None:
    text = (DEPLOY / "windows" / script).read_text("utf-8")
    parser = build_parser()
    called = re.findall(r"--base (?:`\"\$Base`\"|'\$Base'|\$Base) ([a-z][^`\"\n]*)", text)
    assert called
    for words in called:
        assert parser.parse_args(["--base", "C:/base", *words.split()]).run
