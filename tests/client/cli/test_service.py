"""``engineshed-client service``: the units of updater and recovery, in another system's root folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engineshed_client.cli import main
from tests.conftest import require

Service = Callable[..., int]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    (folder / "update").mkdir(parents=True)
    (folder / "update" / "updater.toml").write_text('product = "sample-engine"\n')
    return folder


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Where the units of the other system lie."""
    (tmp_path / "system").mkdir()
    return tmp_path / "system/etc/systemd/system"


@pytest.fixture
def service(base: Path, units: Path, tmp_path: Path) -> Service:
    require(shutil.which("systemctl") is not None, "systemctl")

    def run(verb: str, *words: str) -> int:
        return main(
            [
                "service",
                verb,
                "--base",
                str(base),
                "--root",
                str(tmp_path / "system"),
                "--user",
                "engine",
                *words,
            ]
        )

    return run


def links(units: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in units.rglob("*") if path.is_symlink()}


def test_both_units_are_written_and_enabled(service: Service, units: Path, base: Path) -> None:
    assert service("install") == 0
    updater = (units / "engineshed-updater.service").read_text()
    recover = (units / "engineshed-recover.service").read_text()
    assert re.search(
        rf"^ExecStart=/\S+/python -m engineshed_client.launcher --base {base} run$", updater, re.MULTILINE
    )
    assert re.search(
        rf"^ExecStart=/\S+/python -m engineshed_client.launcher --base {base} recover$", recover, re.MULTILINE
    )
    assert all(f"\nReadWritePaths={base} /tmp /var/tmp\n" in text for text in (updater, recover))
    assert all("\nUser=engine\n" in text for text in (updater, recover))
    assert links(units) == {
        "multi-user.target.wants/engineshed-updater.service",
        "engineshed-updater.service.wants/engineshed-recover.service",
    }


def test_an_engine_with_a_unit_of_its_own_waits_for_the_recovery(service: Service, units: Path) -> None:
    assert service("install", "--engine-unit", "cockpit.service", "--engine-unit", "search@1.service") == 0
    recover = (units / "engineshed-recover.service").read_text()
    assert "\nBefore=cockpit.service search@1.service\n" in recover
    assert {one for one in links(units) if ".requires/" in one} == {
        "cockpit.service.requires/engineshed-recover.service",
        "search@1.service.requires/engineshed-recover.service",
    }


def test_the_unit_by_which_the_updater_runs_the_engine_waits_for_the_recovery_by_itself(
    service: Service, units: Path, base: Path
) -> None:
    settings = base / "update" / "updater.toml"
    settings.write_text(
        settings.read_text() + '[engine]\nsupervisor = "systemd"\nservice = "cockpit.service"\n'
    )
    assert service("install", "--engine-unit", "search@1.service") == 0
    assert "\nBefore=search@1.service cockpit.service\n" in (units / "engineshed-recover.service").read_text()


def test_only_an_updater_of_root_may_give_files_to_others(service: Service, units: Path) -> None:
    told = []
    for user in ("engine", "root"):
        assert service("install", "--user", user) == 0
        text = (units / "engineshed-updater.service").read_text()
        told.append(re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE))
    assert told == [[""], ["CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SYS_PTRACE"]]


def test_an_engines_unit_that_is_not_named_any_more_is_set_free(service: Service, units: Path) -> None:
    service("install", "--engine-unit", "cockpit.service")
    service("install")
    assert not any("cockpit" in one for one in links(units))


def test_several_engines_on_one_host_have_units_of_their_own(service: Service, units: Path) -> None:
    assert service("install", "--name", "search") == 0
    assert service("install") == 0
    recover = (units / "engineshed-recover-search.service").read_text()
    assert "\nBefore=engineshed-updater-search.service\n" in recover
    assert "\nEnvironmentFile=-/etc/engineshed/updater-search.env\n" in recover
    assert len(list(units.glob("*.service"))) == 4


def test_printing_shows_both_and_changes_nothing(
    service: Service, units: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert service("install", "--print") == 0
    assert capsys.readouterr().out.count("[Install]") == 2
    assert not units.exists()


def test_a_unit_changed_by_hand_keeps_both_as_they_are(
    service: Service, units: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service("install")
    recover, updater = units / "engineshed-recover.service", units / "engineshed-updater.service"
    recover.write_text(recover.read_text() + "# mine\n")
    before = updater.read_bytes()
    assert service("install", "--engine-unit", "cockpit.service") == 1
    told = capsys.readouterr()
    assert "-# mine" in told.out.splitlines()
    assert "[unit-edited]" in told.err
    assert (updater.read_bytes(), recover.read_text().endswith("# mine\n")) == (before, True)
    assert service("install", "--force") == 0
    assert not recover.read_text().endswith("# mine\n")


def test_what_is_installed_is_shown(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service("install")
    capsys.readouterr()
    assert service("show", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["unit"], one["file"], one["enabled"]) for one in shown["units"]] == [
        ("engineshed-updater.service", "current", "enabled"),
        ("engineshed-recover.service", "current", "enabled"),
    ]
    assert service("show", "--engine-unit", "cockpit.service") == 0
    assert "service install --print" in capsys.readouterr().err


def test_removing_leaves_the_base(
    service: Service, units: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service("install", "--engine-unit", "cockpit.service")
    assert service("remove") == 0
    assert f"{base} stays as it is" in capsys.readouterr().err
    assert (list(units.glob("*.service")), links(units)) == ([], set())
    assert (base / "update" / "updater.toml").is_file()
    assert service("remove") == 0


def test_settings_with_faults_are_told_before_a_service_meets_them(
    service: Service, base: Path, units: Path
) -> None:
    (base / "update" / "updater.toml").write_text("poll_s = 0\n")
    assert service("install") == 78
    assert not units.exists()


def test_a_base_of_roots_needs_a_user_that_is_named(
    base: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    require(base.owner() == "root", "root, whose folders belong to root")
    assert main(["--base", str(base), "service", "install", "--root", str(tmp_path)]) == 1
    assert "give --user" in capsys.readouterr().err


def test_on_this_host_the_base_must_be_the_users_own(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require(shutil.which("systemctl") is not None, "systemctl")
    user = "daemon" if base.owner() != "daemon" else "bin"
    assert main(["--base", str(base), "service", "install", "--user", user, "--name", "never-installed"]) == 1
    told = capsys.readouterr().err
    assert "[unit-user]" in told
    assert "chown" in told
    assert not Path("/etc/systemd/system/engineshed-updater-never-installed.service").exists()


def test_on_windows_it_says_that_it_is_not_there_yet(
    base: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert main(["--base", str(base), "service", "install", "--user", "engine", "--root", str(tmp_path)]) == 1
    assert "deploy/windows/service.ps1" in capsys.readouterr().err
