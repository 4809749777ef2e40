"""`service`: the portal's unit with the values in force, installed into another system's root folder."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engineshed_packages import exits
from engineshed_packages.units import places
from tests.conftest import require
from tests.server.cli.conftest import Command, Said

UNIT = "engineshed-portal.service"
Service = Callable[..., Said]


@pytest.fixture(autouse=True)
def this_tree_may_lie_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No unit is made of programs below /tmp; that this tree itself may lie there shall not matter here."""
    programs = Path(sys.executable).parent
    kept = tuple(folder for folder in places._TEMPORARY if not programs.is_relative_to(folder))
    monkeypatch.setattr(places, "_TEMPORARY", kept)


def configure(tmp_path: Path, text: str) -> None:
    (tmp_path / "portal.toml").write_text(text, "utf-8")


@pytest.fixture
def printed(command: Command, tmp_path: Path) -> Callable[..., list[str]]:
    """Lines of the unit for a portal whose configuration is the given TOML."""

    def run(toml: str, *words: str) -> list[str]:
        configure(tmp_path, toml)
        said = command("service", "install", "--print", "--user", "portal", *words)
        assert said.code == exits.DONE, said.err
        return said.out.splitlines()

    return run


@pytest.fixture
def service(command: Command, tmp_path: Path) -> Service:
    """`service` on a system below `tmp_path/system`."""
    require(shutil.which("systemctl") is not None, "systemctl")
    configure(tmp_path, '[portal]\ndata_dir = "/srv/portal"\n')
    (tmp_path / "system").mkdir()

    def run(verb: str, *words: str) -> Said:
        return command("service", verb, "--root", tmp_path / "system", "--user", "portal", *words)

    return run


@pytest.fixture
def unit_file(tmp_path: Path) -> Path:
    return tmp_path / "system/etc/systemd/system" / UNIT


def test_the_unit_starts_this_program_with_this_configuration(
    printed: Callable[..., list[str]], tmp_path: Path
) -> None:
    (start,) = [line for line in printed('[portal]\ndata_dir = "/srv/x"\n') if line.startswith("ExecStart=")]
    program, *words = start.removeprefix("ExecStart=").split(" ")
    assert Path(program).is_file()
    assert words == ["run", "--config", str(tmp_path / "portal.toml")]


def test_single_settings_go_along(printed: Callable[..., list[str]]) -> None:
    lines = printed('[portal]\ndata_dir = "/srv/x"\n', "--set", "portal.name=Our Portal")
    assert any(line.startswith("ExecStart=") and '--set "portal.name=Our Portal"' in line for line in lines)


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ('[portal]\ndata_dir = "/var/lib/portal-2"\n', "StateDirectory=portal-2"),
        ('[portal]\ndata_dir = "/srv/a b"\n', 'ReadWritePaths="/srv/a b"'),
        (
            '[portal]\ndata_dir = "/srv/x"\n[database]\nurl = "sqlite:////srv/db/p.db"\n',
            "ReadWritePaths=/srv/x /srv/db",
        ),
        ('[portal]\ndata_dir = "/home/x/data"\n', "ProtectHome=read-only"),
        ('[web]\nbind = "0.0.0.0:443"\n', "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"),
        ('[web]\nbind = "0.0.0.0:8443"\n', "CapabilityBoundingSet="),
        ("", "User=portal"),
    ],
)
def test_the_service_may_what_its_settings_need_and_no_more(
    printed: Callable[..., list[str]], toml: str, line: str
) -> None:
    assert line in printed(toml)


@pytest.mark.parametrize(
    "toml",
    [
        '[portal]\ndata_dir = "/dev/shm/portal"\n',
        '[portal]\ndata_dir = "/srv/x"\n[database]\nurl = "sqlite:///relative.db"\n',
    ],
)
def test_data_where_the_service_would_not_find_it_is_refused(
    command: Command, tmp_path: Path, toml: str
) -> None:
    configure(tmp_path, toml)
    said = command("service", "install", "--print")
    assert said.code == exits.FAILED
    assert "[unit-place]" in said.err


def test_several_portals_on_one_host_have_units_and_environments_of_their_own(
    printed: Callable[..., list[str]],
) -> None:
    lines = printed('[portal]\ndata_dir = "/srv/x"\n', "--name", "test")
    assert "Description=Engineshed portal test" in lines
    assert "EnvironmentFile=-/etc/engineshed/portal-test.env" in lines


def test_installing_writes_enables_and_says_so(service: Service, unit_file: Path) -> None:
    said = service("install")
    assert said.code == exits.DONE, said.err
    assert f"wrote {unit_file}" in said.err
    assert (unit_file.parent / "multi-user.target.wants" / UNIT).is_symlink()
    shown = service("show", "--json").values
    assert (shown["file"], shown["enabled"], shown["active"]) == ("current", "enabled", None)


def test_printing_changes_nothing(service: Service, unit_file: Path) -> None:
    assert service("install", "--print").code == exits.DONE
    assert not unit_file.exists()


def test_the_first_line_tells_the_command_that_writes_the_same_again(
    service: Service, unit_file: Path, tmp_path: Path
) -> None:
    service("install")
    config = tmp_path / "portal.toml"
    assert unit_file.read_text("utf-8").startswith(
        f"# Written by `engineshed-server service install --config {config} --user portal` (sha256 "
    )


def test_a_unit_changed_by_hand_is_left_with_its_difference_shown(service: Service, unit_file: Path) -> None:
    service("install")
    unit_file.write_text(unit_file.read_text("utf-8").replace("RestartSec=2", "RestartSec=9"), "utf-8")
    said = service("install")
    assert said.code == exits.FAILED
    assert "[unit-edited]" in said.err
    assert "-RestartSec=9" in said.out.splitlines()
    assert "RestartSec=9" in unit_file.read_text("utf-8")
    assert service("show", "--json").values["file"] == "edited"
    assert service("remove").code == exits.FAILED
    assert service("install", "--force").code == exits.DONE
    assert "RestartSec=9" not in unit_file.read_text("utf-8")


def test_removing_leaves_the_data(service: Service, unit_file: Path) -> None:
    service("install")
    said = service("remove")
    assert said.code == exits.DONE, said.err
    assert "/srv/portal stays" in said.err
    assert [path for path in unit_file.parent.rglob("*") if not path.is_dir()] == []
    assert "is not installed" in service("remove").err


def test_on_this_host_a_user_that_does_not_exist_is_told_before_anything_is_written(
    command: Command, tmp_path: Path
) -> None:
    require(shutil.which("systemctl") is not None, "systemctl")
    configure(tmp_path, '[portal]\ndata_dir = "/srv/portal"\n')
    said = command("service", "install", "--user", "nobody-of-that-name", "--name", "never-installed")
    assert said.code == exits.FAILED
    assert "[unit-user]" in said.err
    assert not Path("/etc/systemd/system/engineshed-portal-never-installed.service").exists()


def test_without_systemd_it_says_what_to_do(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, '[portal]\ndata_dir = "/srv/portal"\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    said = command("service", "install", "--root", tmp_path)
    assert said.code == exits.FAILED
    assert "[unit-system]" in said.err
    assert "--print" in said.err


def test_a_setting_that_only_this_shell_knows_is_told(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(shutil.which("systemctl") is not None, "systemctl")
    configure(tmp_path, '[portal]\ndata_dir = "/srv/portal"\n')
    monkeypatch.setenv("ENGINESHED_WEB_WORKERS", "3")
    said = command("service", "install", "--user", "nobody-of-that-name", "--name", "never-installed")
    assert "web.workers comes from this shell" in said.err
