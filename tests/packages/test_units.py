"""Units: values that cannot break out of their line, our own text recognised, a hand's changes never lost."""

import shutil
import subprocess
from pathlib import Path

import pytest

from engineshed_packages.errors import UnitRefused
from engineshed_packages.units import (
    Account,
    Found,
    System,
    Unit,
    UnitEdited,
    check_account,
    check_instance,
    check_readable,
    check_unit_name,
    command_line,
    fill,
    find_account,
    path_word,
    protect_home,
    refuse_temporary,
    render,
)
from engineshed_packages.units.text import word
from tests.conftest import require

TEMPLATE = "[Service]\nExecStart=@COMMAND@\n@MORE@\n"


def unit(value: str = "/bin/true") -> Unit:
    values = {"COMMAND": word(value), "MORE": ""}
    return Unit(
        "little.service", render(TEMPLATE, values, command=["engineshed-server", "service", "install"])
    )


@pytest.fixture
def system(tmp_path: Path) -> System:
    require(shutil.which("systemctl") is not None, "systemctl")
    return System(tmp_path)


def installed(system: System) -> Path:
    system.write([unit()], force=False)
    return system.folder / "little.service"


def test_a_line_with_an_empty_value_vanishes_and_one_with_several_becomes_several() -> None:
    assert fill(TEMPLATE, {"COMMAND": "x", "MORE": ""}) == "[Service]\nExecStart=x\n"
    assert fill(TEMPLATE, {"COMMAND": "x", "MORE": "a\nb"}) == "[Service]\nExecStart=x\na\nb\n"


def test_what_looks_like_a_placeholder_in_a_value_stays() -> None:
    assert fill("@A@ @B@", {"A": "@B@", "B": "x"}) == "@B@ x"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("/opt/engineshed/bin/python", "/opt/engineshed/bin/python"),
        ("/srv/two words", '"/srv/two words"'),
        ("/srv/100%", '"/srv/100%%"'),
        ("/srv/$HOME", '"/srv/$$HOME"'),
        ('/srv/a"b', '"/srv/a\\"b"'),
        ("/srv/a\\b", '"/srv/a\\\\b"'),
        ("-x;", '"-x;"'),
    ],
)
def test_a_word_of_a_command_is_one_word_to_systemd(value: str, written: str) -> None:
    assert word(value) == written


def test_a_dollar_means_nothing_in_a_list_of_paths() -> None:
    assert path_word("/srv/$x") == '"/srv/$x"'


@pytest.mark.parametrize("value", ["", "/srv/a\nExecStartPre=/bin/sh", "/srv/a\x00", "/srv/\u2028"])
def test_no_value_can_add_a_line(value: str) -> None:
    with pytest.raises(UnitRefused) as caught:
        word(value)
    assert caught.value.code == "unit-value"


def test_no_argument_can_break_the_mark() -> None:
    with pytest.raises(UnitRefused):
        render("[Unit]\n", {}, command=["engineshed-client", "--base", "/srv/a\nb"])


@pytest.mark.parametrize("name", ["", "0day", "two words", "a" * 40, "root\n", "../x", "é"])
def test_an_account_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UnitRefused) as caught:
        check_account(name)
    assert caught.value.code == "unit-user"


@pytest.mark.parametrize("name", ["", "A", "a/b", "-a", "a-", "a.service", "x" * 40, "a@b"])
def test_a_name_that_could_be_another_unit_is_refused(name: str) -> None:
    with pytest.raises(UnitRefused) as caught:
        check_instance(name)
    assert caught.value.code == "unit-name"


@pytest.mark.parametrize("name", ["cockpit", "cockpit.mount", "a b.service", "a\n.service", "/etc/x.service"])
def test_an_engines_unit_is_named_in_full(name: str) -> None:
    with pytest.raises(UnitRefused):
        check_unit_name(name)
    assert check_unit_name("cockpit@1.service") == "cockpit@1.service"


@pytest.mark.parametrize("program", ["/opt/a'b/run", '/opt/a"b/run', "/opt/a\\b/run"])
def test_a_program_systemd_would_not_start_is_refused(program: str) -> None:
    with pytest.raises(UnitRefused) as caught:
        command_line([program])
    assert "move it" in caught.value.message


def test_systemd_takes_the_most_awkward_paths(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    require(tool is not None, "systemd-analyze")
    program, data = tmp_path / "a b%n$HOME" / "run me", tmp_path / 'c%n$d "e\\f'
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    values = {
        "COMMAND": command_line([str(program), str(data)]),
        "MORE": f"ReadWritePaths={path_word(str(data))}",
    }
    path = tmp_path / "awkward.service"
    path.write_text(render(TEMPLATE, values, command=["x"]), "utf-8")
    run = subprocess.run(
        [str(tool), "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_unit_is_absent_then_current(system: System) -> None:
    assert system.look(unit()).found is Found.ABSENT
    assert installed(system).read_text("utf-8") == unit().text
    assert system.look(unit()).found is Found.CURRENT


def test_a_unit_of_other_values_is_ours_and_replaced_without_asking(system: System) -> None:
    path = installed(system)
    other = unit("/bin/false")
    assert system.look(other).found is Found.OUTDATED
    assert system.write([other], force=False) == (path,)
    assert path.read_text("utf-8") == other.text


def test_a_unit_that_is_current_is_not_written_again(system: System) -> None:
    installed(system)
    assert system.write([unit()], force=False) == ()


@pytest.mark.parametrize("change", ["\nNice=5\n", " ", "# note\n"])
def test_a_unit_changed_by_hand_is_left_and_the_difference_is_told(system: System, change: str) -> None:
    path = installed(system)
    path.write_text(path.read_text("utf-8") + change, "utf-8")
    before = path.read_bytes()
    with pytest.raises(UnitEdited) as caught:
        system.write([unit()], force=False)
    assert path.read_bytes() == before
    assert caught.value.code == "unit-edited"
    assert any(line.startswith("-") for line in caught.value.difference)


def test_a_unit_somebody_else_wrote_is_left(system: System) -> None:
    system.folder.mkdir(parents=True)
    (system.folder / "little.service").write_text("[Service]\nExecStart=/bin/true\n", "utf-8")
    with pytest.raises(UnitEdited):
        system.write([unit()], force=False)
    with pytest.raises(UnitEdited):
        system.remove([unit()], force=False)


def test_force_replaces_what_a_hand_has_changed(system: System) -> None:
    path = installed(system)
    path.write_text("mine\n", "utf-8")
    system.write([unit()], force=True)
    assert path.read_text("utf-8") == unit().text


def test_of_several_units_none_is_written_when_one_was_changed(system: System) -> None:
    path = installed(system)
    path.write_text("mine\n", "utf-8")
    other = Unit("other.service", unit().text)
    with pytest.raises(UnitEdited):
        system.write([other, unit()], force=False)
    assert not (system.folder / "other.service").exists()


def test_removing_twice_is_no_error(system: System) -> None:
    path = installed(system)
    assert system.remove([unit()], force=False) == (path,)
    assert system.remove([unit()], force=False) == ()
    assert not path.exists()


def test_enabling_follows_the_install_section_of_now_and_not_of_before(system: System) -> None:
    def wanted_by(target: str) -> Unit:
        text = render(
            f"{TEMPLATE}[Install]\nWantedBy={target}\n", {"COMMAND": "x", "MORE": ""}, command=["x"]
        )
        return Unit("little.service", text)

    for target in ("one.target", "two.target"):
        system.write([wanted_by(target)], force=False)
        system.enable(["little.service"])
    links = [path.parent.name for path in system.folder.rglob("*") if path.is_symlink()]
    assert links == ["two.target.wants"]
    assert system.look(wanted_by("two.target")).enabled == "enabled"


def test_what_systemctl_refuses_is_told(system: System) -> None:
    with pytest.raises(UnitRefused) as caught:
        system.enable(["not-there.service"])
    assert caught.value.code == "systemctl-failed"
    assert "not-there.service" in caught.value.message


@pytest.mark.parametrize(
    ("path", "setting"),
    [("/opt/x", "yes"), ("/home/x/y", "read-only"), ("/root/venv", "read-only"), ("/homeland", "yes")],
)
def test_homes_are_hidden_unless_something_needed_lies_there(path: str, setting: str) -> None:
    assert protect_home([Path("/usr"), Path(path)]) == setting


def test_a_link_into_a_home_counts_as_being_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/root")
    assert protect_home([tmp_path / "link" / "venv"]) == "read-only"


def test_data_among_temporary_files_is_refused() -> None:
    with pytest.raises(UnitRefused) as caught:
        refuse_temporary(Path("/tmp/portal"), "the folder")
    assert caught.value.code == "unit-place"


def test_a_user_that_does_not_exist_is_told() -> None:
    with pytest.raises(UnitRefused) as caught:
        find_account("nobody-of-that-name")
    assert "useradd" in caught.value.message


def test_what_the_services_user_cannot_reach_is_told_with_the_folder_that_keeps_it_out(
    tmp_path: Path,
) -> None:
    stranger = Account("stranger", 64321, frozenset({64321}))
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o700)
    (shut / "file").touch(mode=0o644)
    with pytest.raises(UnitRefused) as caught:
        check_readable([shut / "file"], stranger)
    assert f"{shut} keeps others out" in caught.value.message
    owner = shut.stat()
    check_readable([shut], Account("owner", owner.st_uid, frozenset()))
    check_readable([Path("/usr/bin/env")], stranger)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnitRefused) as caught:
        check_readable([tmp_path / "absent"], Account("root", 0, frozenset({0})))
    assert "absent" in caught.value.message
