"""The launcher is run as it is on a host: a program of its own, with nothing of ours on its path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engineshed_client import launcher
from engineshed_client.own import folder
from engineshed_packages import exits

SAYS = "import sys\nprint({name!r}, *sys.argv[1:])\nsys.exit(7)\n"


@pytest.fixture
def updater(tmp_path: Path) -> Path:
    folder = tmp_path / "update" / "updater"
    folder.mkdir(parents=True)
    return folder


def _add(updater: Path, version: str, program: str = "") -> None:
    (updater / version).mkdir()
    (updater / version / "__main__.py").write_text(program or SAYS.format(name=version))


def _launch(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", launcher.__file__, "--base", str(base), *(arguments or ("run",))],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_current_version_is_started_with_the_arguments_and_its_exit_code(
    tmp_path: Path, updater: Path
) -> None:
    _add(updater, "1.0.0")
    (updater / "current.txt").write_text("1.0.0\n")
    done = _launch(tmp_path, "run", "-v")
    assert done.stdout.split() == ["1.0.0", "--base", str(tmp_path), "run", "-v"]
    assert done.returncode == 7


def test_a_single_file_is_started_as_well(tmp_path: Path, updater: Path) -> None:
    (updater / "1.0.0").mkdir()
    (updater / "1.0.0" / "engineshed-client.pyz").write_text(SAYS.format(name="single file"))
    (updater / "current.txt").write_text("1.0.0")
    assert _launch(tmp_path).stdout.startswith("single file")


def test_the_start_is_counted_before_the_updater_starts(tmp_path: Path, updater: Path) -> None:
    _add(updater, "1.0.0", f"print(open({str(updater / 'starts.txt')!r}).read())")
    (updater / "current.txt").write_text("1.0.0")
    assert _launch(tmp_path).stdout.strip() == "1.0.0 1"
    assert _launch(tmp_path).stdout.strip() == "1.0.0 2"


def test_after_three_starts_in_vain_the_previous_version_is_started(tmp_path: Path, updater: Path) -> None:
    _add(updater, "1.0.0")
    _add(updater, "1.1.0")
    (updater / "current.txt").write_text("1.1.0")
    (updater / "previous.txt").write_text("1.0.0")
    started = [_launch(tmp_path).stdout.split()[0] for _ in range(5)]
    assert started == ["1.1.0", "1.1.0", "1.1.0", "1.0.0", "1.0.0"]


def test_a_version_that_came_up_has_its_three_starts_again(tmp_path: Path, updater: Path) -> None:
    _add(updater, "1.0.0")
    _add(updater, "1.1.0")
    (updater / "current.txt").write_text("1.1.0")
    (updater / "previous.txt").write_text("1.0.0")
    for _ in range(3):
        _launch(tmp_path)
    (updater / "starts.txt").unlink()
    assert _launch(tmp_path).stdout.split()[0] == "1.1.0"


def test_the_starts_of_another_version_do_not_count(tmp_path: Path, updater: Path) -> None:
    _add(updater, "1.1.0")
    _add(updater, "1.0.0")
    (updater / "starts.txt").write_text("1.0.9 3\n")
    (updater / "current.txt").write_text("1.1.0")
    (updater / "previous.txt").write_text("1.0.0")
    assert _launch(tmp_path).stdout.split()[0] == "1.1.0"


def test_without_a_previous_version_the_current_one_is_started_again(tmp_path: Path, updater: Path) -> None:
    _add(updater, "1.0.0")
    (updater / "current.txt").write_text("1.0.0")
    (updater / "starts.txt").write_text("1.0.0 9\n")
    assert _launch(tmp_path).stdout.split()[0] == "1.0.0"


@pytest.mark.parametrize("text", ["", "../evil", "1.9.9", "a b", "\0\0\0"])
def test_a_current_version_that_cannot_be_started_gives_way_to_the_previous(
    tmp_path: Path, updater: Path, text: str
) -> None:
    _add(updater, "1.0.0")
    (updater / "current.txt").write_text(text)
    (updater / "previous.txt").write_text("1.0.0")
    assert _launch(tmp_path).stdout.split()[0] == "1.0.0"


def test_without_current_txt_the_installed_distribution_is_started(updater: Path) -> None:
    assert launcher.choose(updater) == ("-m", "engineshed_client.cli")


@pytest.mark.parametrize(
    ("arguments", "base"),
    [
        (["--base", "/srv/a", "run"], "/srv/a"),
        (["run", "--base=/srv/b"], "/srv/b"),
        (["run"], "/srv/env"),
        (["run", "--base"], "/srv/env"),
    ],
)
def test_the_base_is_found_as_the_updater_finds_it(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], base: str
) -> None:
    monkeypatch.setenv("ENGINESHED_BASE", "/srv/env")
    assert launcher.find_base(arguments) == Path(base)


def test_a_disk_that_takes_no_count_does_not_keep_the_updater_from_starting(
    tmp_path: Path, updater: Path
) -> None:
    _add(updater, "1.0.0")
    (updater / "current.txt").write_text("1.0.0")
    (updater / ".starts.txt.tmp").mkdir()
    done = _launch(tmp_path)
    assert done.stdout.split()[0] == "1.0.0"
    assert "not counted" in done.stderr


def test_a_signal_to_the_launcher_reaches_the_updater(tmp_path: Path, updater: Path) -> None:
    ready = tmp_path / "ready"
    _add(
        updater,
        "1.0.0",
        "import signal, sys, time, pathlib\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)\n",
    )
    (updater / "current.txt").write_text("1.0.0")
    child = subprocess.Popen([sys.executable, launcher.__file__, "--base", str(tmp_path), "run"])
    while not ready.exists():
        assert child.poll() is None
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait() == 5


def test_only_run_is_counted(tmp_path: Path, updater: Path) -> None:
    _add(updater, "1.0.0")
    (updater / "current.txt").write_text("1.0.0")
    assert _launch(tmp_path, "status").stdout.split()[0] == "1.0.0"
    assert not (updater / "starts.txt").exists()


def test_a_folder_named_run_is_no_command(tmp_path: Path, updater: Path) -> None:
    assert launcher.find_command(["--base", "run", "--set", "run", "-v", "--base=run", "status"]) == "status"
    assert launcher.find_command(["--version"]) is None


def test_run_is_told_of_the_launcher_and_nothing_else_is(tmp_path: Path, updater: Path) -> None:
    _add(updater, "1.0.0", "import os; print(os.environ.get('ENGINESHED_LAUNCHER'))")
    (updater / "current.txt").write_text("1.0.0")
    assert _launch(tmp_path, "run").stdout.strip() == os.path.abspath(launcher.__file__)
    assert _launch(tmp_path, "status").stdout.strip() == "None"


def test_a_start_that_hangs_is_ended_by_an_alarm_which_the_updater_turns_off(
    tmp_path: Path, updater: Path
) -> None:
    _add(updater, "1.0.0", "import signal; print(signal.alarm(0)); print(signal.alarm(0))")
    (updater / "current.txt").write_text("1.0.0")
    left, off = map(int, _launch(tmp_path).stdout.split())
    assert 0 < left <= launcher.START_S
    assert off == 0
    assert _launch(tmp_path, "status").stdout.split() == ["0", "0"]


def test_nothing_around_counts_for_a_version_of_its_own(
    tmp_path: Path, updater: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(updater, "1.0.0", "import beside; print(beside.NAME)")
    (updater / "1.0.0" / "beside.py").write_text("NAME = 'ours'")
    (tmp_path / "beside.py").write_text("NAME = 'theirs'")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (updater / "current.txt").write_text("1.0.0")
    assert _launch(tmp_path).stdout.split() == ["ours"]


def test_recovery_goes_on_with_the_next_one_when_the_current_fails_at_it(
    tmp_path: Path, updater: Path
) -> None:
    _add(updater, "1.1.0")
    _add(updater, "1.0.0", "print('1.0.0')")
    (updater / "current.txt").write_text("1.1.0")
    (updater / "previous.txt").write_text("1.0.0")
    done = _launch(tmp_path, "recover")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1.1.0", "1.0.0"]
    assert done.returncode == 0
    (updater / "previous.txt").unlink()
    assert _launch(tmp_path, "recover").returncode == 7


def test_where_nothing_can_be_counted_a_version_on_trial_gives_way(tmp_path: Path, updater: Path) -> None:
    _add(updater, "1.0.0")
    _add(updater, "1.1.0")
    (updater / "current.txt").write_text("1.1.0")
    (updater / "previous.txt").write_text("1.0.0")
    (updater / "starts.txt").write_text("1.1.0 0\n")
    (updater / ".starts.txt.tmp").mkdir()
    assert _launch(tmp_path).stdout.split()[0] == "1.0.0"


def test_without_a_previous_version_the_installed_one_is_gone_back_to(updater: Path) -> None:
    _add(updater, "1.1.0")
    (updater / "current.txt").write_text("1.1.0")
    chosen = [launcher.choose(updater) for _ in range(4)]
    assert [program[-1] for program in chosen] == [str(updater / "1.1.0")] * 3 + ["engineshed_client.cli"]


def test_a_pointer_that_cannot_be_read_does_not_keep_the_updater_from_starting(
    tmp_path: Path, updater: Path
) -> None:
    _add(updater, "1.0.0")
    (updater / "current.txt").mkdir()
    (updater / "previous.txt").write_text("1.0.0")
    done = _launch(tmp_path)
    assert done.stdout.split()[0] == "1.0.0"
    assert "current.txt" in done.stderr


def test_launcher_and_updater_mean_the_same() -> None:
    # It imports nothing of ours, so each of these stands in two places.
    assert exits.START_AGAIN == launcher.START_AGAIN
    assert folder.LAUNCHER_ENV == launcher.LAUNCHER
    assert folder.PROGRAM in (program := Path(launcher.__file__).read_text())
    for name in (folder.CURRENT, folder.PREVIOUS, folder.STARTS):
        assert f'"{name}"' in program
