"""The command supervisor runs real processes here; nothing of it is replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engineshed_client.errors import EngineTrouble, StartFailed, StopFailed
from engineshed_client.fsops import FsOps
from engineshed_client.settings import EngineSettings
from engineshed_client.supervisor import CommandSupervisor, linux_processes
from engineshed_packages.manifest import StopSpec
from tests.client.little_engine import IGNORES_SIGTERM, LEAVES_A_CHILD, SLEEPS, LittleEngine, wait_until


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LittleEngine]:
    engine = LittleEngine(tmp_path)
    yield engine
    engine.supervisor().stop(0.5)


def pid_of(supervisor: CommandSupervisor) -> int:
    identity = supervisor.identity()
    assert identity is not None
    return int(identity.partition(":")[0])


def started(engine: LittleEngine, run: str = SLEEPS) -> CommandSupervisor:
    engine.write(run)
    supervisor = engine.supervisor()
    supervisor.start()
    wait_until(lambda: "up" in engine.output)
    return supervisor


def test_an_engine_that_was_never_started_does_not_run(engine: LittleEngine) -> None:
    assert not engine.supervisor().is_running()


def test_a_started_engine_runs_and_a_stopped_one_does_not(engine: LittleEngine) -> None:
    supervisor = started(engine)
    assert supervisor.is_running()
    supervisor.stop(10)
    assert (supervisor.is_running(), supervisor.leftovers()) == (False, ())


def test_an_engine_that_ended_by_itself_leaves_its_exit_code(engine: LittleEngine) -> None:
    supervisor = started(engine, "print('up', flush=True)\nraise SystemExit(3)\n")
    wait_until(lambda: not supervisor.is_running())
    assert supervisor.exit_code() == 3


def test_an_engine_that_runs_has_no_exit_code(engine: LittleEngine) -> None:
    assert started(engine).exit_code() is None


def test_another_updater_process_knows_the_running_engine(engine: LittleEngine) -> None:
    supervisor = started(engine)
    assert engine.supervisor().identity() == supervisor.identity()


def test_starting_a_running_engine_again_changes_nothing(engine: LittleEngine) -> None:
    supervisor = started(engine)
    before = supervisor.identity()
    engine.supervisor().start()
    assert supervisor.identity() == before


def test_each_start_has_another_identity(engine: LittleEngine) -> None:
    supervisor = started(engine)
    before = supervisor.identity()
    supervisor.stop(10)
    supervisor.start()
    assert supervisor.identity() != before


def test_the_engine_leads_a_session_of_its_own(engine: LittleEngine) -> None:
    pid = pid_of(started(engine))
    assert os.getsid(pid) == pid != os.getsid(0)


def test_the_engine_outlives_the_updater_that_started_it(engine: LittleEngine) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.client.little_engine import LittleEngine, wait_until\n"
        "engine = LittleEngine(Path(sys.argv[1])); engine.supervisor().start()\n"
        "wait_until(lambda: 'up' in engine.output)"
    )
    subprocess.run([sys.executable, "-c", code, str(engine.paths.base)], check=True)
    assert engine.supervisor().is_running()


def test_an_updater_killed_before_the_identity_is_saved_leaves_no_engine(engine: LittleEngine) -> None:
    class Killed(FsOps):
        def write_file(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        engine.fs = Killed()
        engine.supervisor().start()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    wait_until(lambda: engine.supervisor().leftovers() == ())
    assert engine.output == ""


def test_a_full_disk_at_the_identity_leaves_no_engine(engine: LittleEngine) -> None:
    class Full(FsOps):
        def write_file(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
            raise OSError(28, "No space left on device")

    engine.fs = Full()
    with pytest.raises(Exception) as caught:
        engine.supervisor().start()
    assert getattr(caught.value, "code", None) == "disk-full"
    assert (engine.supervisor().leftovers(), engine.output) == ((), "")


def test_a_process_with_the_recorded_number_but_another_start_is_not_the_engine(engine: LittleEngine) -> None:
    supervisor = started(engine)
    pid = pid_of(supervisor)
    supervisor.stop(10)
    engine.paths.service.write_text(json.dumps({"identity": f"{os.getpid()}:1:00000000"}))
    assert pid != os.getpid()
    assert not supervisor.is_running()


def with_service_of(engine: LittleEngine, boot: str, *, ticks: int = 1) -> CommandSupervisor:
    engine.paths.service.parent.mkdir(parents=True, exist_ok=True)
    engine.paths.service.write_text(json.dumps({"identity": f"4711:{ticks}:{boot}"}))
    return engine.supervisor()


def test_an_engine_that_ran_as_the_host_went_down_is_started_after_boot(engine: LittleEngine) -> None:
    supervisor = with_service_of(engine, "another")
    supervisor.start_after_boot()
    assert supervisor.is_running()


def test_an_engine_that_ran_before_the_containers_first_process_is_started_after_boot(
    engine: LittleEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A container that is restarted keeps the boot of its machine; with systemd in it, power cuts showed this.
    me = linux_processes.read_process(os.getpid())
    assert me is not None
    supervisor = with_service_of(engine, me.identity.rpartition(":")[2], ticks=me.started - 1)
    monkeypatch.setattr(linux_processes, "_FIRST", os.getpid())
    supervisor.start_after_boot()
    assert supervisor.is_running()


def test_the_unit_tells_which_boot_it_is(engine: LittleEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(linux_processes.BOOT_ENV, "0123456789abcdef" * 2)
    supervisor = started(engine)
    assert str(supervisor.identity()).endswith(":01234567")
    supervisor.stop(10)
    monkeypatch.setenv(linux_processes.BOOT_ENV, "no boot")
    assert not linux_processes.is_of_another_boot(str(linux_processes.identify(os.getpid())))


def test_an_engine_that_ended_while_the_host_was_up_stays_so(engine: LittleEngine) -> None:
    supervisor = started(engine)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    wait_until(lambda: not supervisor.is_running())
    engine.supervisor().start_after_boot()
    assert not supervisor.is_running()


def test_an_engine_that_was_stopped_stays_so_after_boot(engine: LittleEngine) -> None:
    supervisor = started(engine)
    supervisor.stop(10)
    engine.supervisor().start_after_boot()
    assert not supervisor.is_running()


def test_nothing_is_started_after_boot_beside_what_somebody_else_started(engine: LittleEngine) -> None:
    supervisor = with_service_of(engine, "another")
    other = subprocess.Popen(["sleep", "600"], cwd=engine.paths.engine)
    try:
        supervisor.start_after_boot()
        assert not supervisor.is_running()
    finally:
        other.kill()
        other.wait()


def test_an_engine_that_ignores_the_signal_is_killed_at_the_deadline(engine: LittleEngine) -> None:
    supervisor = started(engine, IGNORES_SIGTERM)
    supervisor.stop(0.5)
    assert not supervisor.is_running()


def test_a_child_in_a_session_of_its_own_is_stopped_too(engine: LittleEngine) -> None:
    supervisor = started(engine, LEAVES_A_CHILD)
    assert len(supervisor.leftovers()) == 2
    supervisor.stop(10)
    assert supervisor.leftovers() == ()


def test_a_child_left_by_a_crashed_engine_is_stopped_too(engine: LittleEngine) -> None:
    supervisor = started(engine, LEAVES_A_CHILD)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    wait_until(lambda: not supervisor.is_running())
    assert len(supervisor.leftovers()) == 1
    supervisor.stop(10)
    assert supervisor.leftovers() == ()


def test_nothing_is_started_beside_what_a_crashed_engine_left(engine: LittleEngine) -> None:
    supervisor = started(engine, LEAVES_A_CHILD)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    wait_until(lambda: not supervisor.is_running())
    with pytest.raises(StartFailed) as caught:
        supervisor.start()
    assert caught.value.code == "engine-left"


def test_a_killed_engine_leaves_no_zombie_in_the_updater(engine: LittleEngine) -> None:
    supervisor = started(engine)
    pid = pid_of(supervisor)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not supervisor.is_running())
    assert not psutil.pid_exists(pid)


def test_a_shell_with_its_working_directory_in_the_engine_holds_the_stop_up_and_lives(
    engine: LittleEngine,
) -> None:
    supervisor = started(engine)
    shell = subprocess.Popen(["sleep", "600"], cwd=engine.paths.engine)
    try:
        with pytest.raises(StopFailed) as caught:
            supervisor.stop(0.5)
        assert f"process {shell.pid} (sleep 600, cwd)" in str(caught.value)
        assert shell.poll() is None
    finally:
        shell.kill()
        shell.wait()


def test_a_reader_of_a_log_does_not_count(engine: LittleEngine) -> None:
    log = engine.paths.engine / "logs" / "engine.log"
    log.write_text("line\n")
    with log.open():
        reader = subprocess.Popen(["tail", "-f", str(log)], stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: str(log) in [one.path for one in psutil.Process(reader.pid).open_files()])
            assert engine.supervisor().leftovers() == ()
        finally:
            reader.kill()
            reader.wait()


def test_a_process_that_has_a_shipped_file_open_is_named(engine: LittleEngine) -> None:
    part = engine.paths.engine / "lib" / "part.txt"
    with part.open() as file:
        holder = subprocess.Popen(["sleep", "600"], stdin=file)
    try:
        assert engine.supervisor().leftovers() == (f"process {holder.pid} (sleep 600, open)",)
    finally:
        holder.kill()
        holder.wait()


def test_a_process_that_has_a_shipped_file_mapped_is_the_engine(engine: LittleEngine) -> None:
    part = engine.paths.engine / "lib" / "part.txt"
    code = (
        "import mmap, sys, time\n"
        "with open(sys.argv[1]) as f: m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(part)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        engine.supervisor().stop(20)
        assert holder.wait(20) == -signal.SIGTERM


def test_a_stop_command_is_run_in_place_of_the_signal(tmp_path: Path) -> None:
    code = "import os, signal, sys; os.kill(int(open(sys.argv[1]).read()), signal.SIGUSR1)"
    run = (
        "import os, signal, sys, time\nopen('logs/pid', 'w').write(str(os.getpid()))\n"
        "signal.signal(signal.SIGTERM, lambda *a: print('term', flush=True))\n"
        "def end(*a):\n    print('asked', flush=True)\n    sys.exit()\n"
        "signal.signal(signal.SIGUSR1, end)\n" + SLEEPS
    )
    engine = LittleEngine(tmp_path, stop=StopSpec(command=("{python}", "-c", code, "{engine}/logs/pid")))
    supervisor = started(engine, run)
    supervisor.stop(60)
    assert "asked" in engine.output
    assert "term" not in engine.output


def test_a_stop_command_that_fails_is_followed_by_the_signal(tmp_path: Path) -> None:
    engine = LittleEngine(tmp_path, stop=StopSpec(command=("false",)))
    supervisor = started(engine)
    supervisor.stop(600)
    assert not supervisor.is_running()


def test_a_start_command_that_does_not_exist_is_named(engine: LittleEngine) -> None:
    with pytest.raises(StartFailed) as caught:
        engine.supervisor(EngineSettings(start=("/no/such/program",))).start()
    assert caught.value.code == "start-command"
    assert "/no/such/program" in str(caught.value)


def test_an_engine_without_a_manifest_is_not_started(engine: LittleEngine) -> None:
    (engine.paths.engine / "MANIFEST.json").unlink()
    with pytest.raises(StartFailed) as caught:
        engine.supervisor().start()
    assert caught.value.code == "file-missing"


def test_what_is_meant_for_the_updater_is_not_in_the_engines_environment(
    engine: LittleEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINESHED_KEY_PASSPHRASE_FILE", "/secret")
    supervisor = started(engine)
    environment = psutil.Process(pid_of(supervisor)).environ()
    assert {name for name in environment if name.startswith("ENGINESHED_")} == {"ENGINESHED_ENGINE"}
    assert environment["PLACE"] == str(engine.paths.engine)


def test_the_engine_inherits_no_file_of_the_updater(engine: LittleEngine) -> None:
    with engine.fs.lock(engine.paths.lock):
        supervisor = started(engine)
        opened = [one.path for one in psutil.Process(pid_of(supervisor)).open_files()]
    assert str(engine.paths.lock) not in opened


def test_a_stop_needs_no_running_engine(engine: LittleEngine) -> None:
    began = time.monotonic()
    engine.supervisor().stop(600)
    assert time.monotonic() - began < 300


def by_hand(engine: LittleEngine, *, cwd: Path | None = None, script: str = "") -> subprocess.Popen[bytes]:
    """Start the engine as somebody did long before there was an updater."""
    words = [sys.executable, script or str(engine.paths.engine / "bin" / "run.py")]
    process = subprocess.Popen(words, cwd=cwd or "/", stdout=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: engine.supervisor().leftovers() != ())
    return process


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait(20)


def test_an_engine_that_somebody_else_started_is_looked_after(
    engine: LittleEngine, ended: list[subprocess.Popen[bytes]]
) -> None:
    ended.append(by_hand(engine))
    supervisor = engine.supervisor()
    assert not supervisor.is_running()
    taken = supervisor.take_over()
    assert taken is not None
    assert taken.startswith(f"process {ended[0].pid} ")
    assert pid_of(engine.supervisor()) == ended[0].pid
    assert ended[0].poll() is None


def test_an_engine_that_was_taken_over_is_stopped_and_started_like_any_other(
    engine: LittleEngine, ended: list[subprocess.Popen[bytes]]
) -> None:
    ended.append(by_hand(engine))
    supervisor = engine.supervisor()
    supervisor.take_over()
    reaper = threading.Thread(target=ended[0].wait)  # nobody's zombie, as below an init
    reaper.start()
    supervisor.stop(10)
    reaper.join(20)
    assert supervisor.leftovers() == ()
    supervisor.start()
    assert pid_of(supervisor) != ended[0].pid


def test_an_interpreter_is_known_by_its_script_also_from_inside(
    engine: LittleEngine, ended: list[subprocess.Popen[bytes]]
) -> None:
    ended.append(by_hand(engine, cwd=engine.paths.engine / "bin", script="run.py"))
    assert engine.supervisor().take_over() is not None


def test_an_engine_that_the_updater_started_need_not_be_taken_over(engine: LittleEngine) -> None:
    supervisor = started(engine)
    before = supervisor.identity()
    assert supervisor.take_over() is None
    assert supervisor.identity() == before


def test_where_nothing_runs_nothing_is_taken_over(
    engine: LittleEngine, ended: list[subprocess.Popen[bytes]]
) -> None:
    assert engine.supervisor().take_over() is None
    # An administrator's shell in the engine's folder is no engine.
    shell = subprocess.Popen(["/bin/sleep", "600"], cwd=engine.paths.engine)
    ended.append(shell)
    wait_until(lambda: engine.supervisor().leftovers() != ())
    assert engine.supervisor().take_over() is None


def test_of_two_engines_none_is_taken_over(
    engine: LittleEngine, ended: list[subprocess.Popen[bytes]]
) -> None:
    ended += [by_hand(engine), by_hand(engine)]
    with pytest.raises(EngineTrouble) as caught:
        engine.supervisor().take_over()
    assert caught.value.code == "engine-foreign"
    assert str(ended[0].pid) in caught.value.message
    assert not engine.supervisor().is_running()


def test_an_engine_that_another_service_manager_has_is_left_to_it(
    engine: LittleEngine, ended: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended.append(by_hand(engine))
    monkeypatch.setattr(linux_processes, "find_unit", lambda tied: "engine.service")
    with pytest.raises(EngineTrouble, match=r"runs as engine\.service"):
        engine.supervisor().take_over()
    assert not engine.supervisor().is_running()
