"""The sample engine, really started: that it works, that each way of failing fails, and how it is packed."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engineshed_packages.archive import open_archive
from engineshed_packages.builder import build_package, sample_sources
from engineshed_packages.manifest import FileClass, Manifest, Placeholders, read_manifest
from engineshed_packages.versions import Version

WAIT_S = 30
VERSIONS = ["1.0.0", "1.1.0"]


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {WAIT_S} s"
        time.sleep(0.02)


class Engine:
    """A sample engine in a folder of its own, started as its manifest says."""

    def __init__(self, home: Path, manifest: Manifest) -> None:
        self.home = home
        self.manifest = manifest
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str | float) -> "Engine":
        placeholders = Placeholders(engine=str(self.home), base=str(self.home.parent), python=sys.executable)
        command = placeholders.fill_all(self.manifest.start.command)
        env = {"PORT": 0, "START_DELAY_S": 0} | {name.upper(): value for name, value in settings.items()}
        self.process = subprocess.Popen(
            command,
            env=os.environ
            | dict(self.manifest.start.env)
            | {f"SAMPLE_ENGINE_{name}": str(value) for name, value in env.items()},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.home.parent,
        )
        return self

    @property
    def state(self) -> dict[str, int | str | None]:
        state: dict[str, int | str | None] = json.loads((self.home / "data/state.json").read_text())
        return state

    @property
    def log(self) -> str:
        path = self.home / "logs/engine.log"
        return path.read_text() if path.exists() else ""

    @property
    def port(self) -> int:
        """The port of the running process, once it listens."""
        assert self.process is not None
        pid = self.process.pid

        def listening() -> bool:
            try:
                return self.state["pid"] == pid and self.state["port"] is not None
            except FileNotFoundError:
                return False

        until(listening, "listening")
        return int(self.state["port"] or 0)

    def get(self, path: str, timeout_s: float = WAIT_S) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def health(self) -> tuple[int, str]:
        status, text = self.get("/health")
        return status, json.loads(text)["status"]

    def version(self) -> str:
        return str(json.loads(self.get("/version")[1])["version"])

    def exit_code(self) -> int:
        assert self.process is not None
        return self.process.wait(WAIT_S)

    def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.exit_code()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(WAIT_S)


def unpack(package: Path, home: Path) -> Manifest:
    with open_archive(package) as archive:
        for entry in archive.entries:
            path = home / entry.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(entry.name, max_bytes=1_000_000))
        return read_manifest(archive)


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[[str], Engine]]:
    engines: list[Engine] = []

    def install_version(version: str) -> Engine:
        package = build_package(
            sample_sources(version), version=Version(version), platform="any", output=tmp_path
        )
        home = tmp_path / f"engine-{version}"
        engines.append(Engine(home, unpack(package.path, home)))
        return engines[-1]

    yield install_version
    for engine in engines:
        engine.kill()


@pytest.fixture
def engine(install: Callable[[str], Engine]) -> Engine:
    return install("1.0.0")


# It works


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_well_and_says_its_version(install: Callable[[str], Engine], version: str) -> None:
    engine = install(version).start()
    assert engine.health() == (200, "good")
    assert engine.version() == version


def test_its_probe_finds_the_version_in_the_health(engine: Engine) -> None:
    pointer = engine.manifest.probe.version_pointer
    assert pointer == "/version"
    assert engine.manifest.probe.url == "http://127.0.0.1:8750/health"
    assert json.loads(engine.start().get("/health")[1])["version"] == "1.0.0"


def test_it_ends_with_0_when_it_is_asked_to_stop(engine: Engine) -> None:
    assert engine.start().health() == (200, "good")
    assert engine.terminate() == 0
    assert engine.log.splitlines()[-1].endswith("stopped")


def test_it_ends_with_0_when_it_is_asked_to_stop_before_it_listens(engine: Engine) -> None:
    engine.start(start_delay_s=3600)
    until(lambda: "starting" in engine.log, "starting")
    assert engine.terminate() == 0


def test_its_start_takes_a_second_or_two(engine: Engine) -> None:
    conf = tomllib.loads((engine.home / "conf/engine.toml").read_text())
    assert 1 <= conf["start_delay_s"] <= 2


def test_it_counts_its_starts_over_versions(install: Callable[[str], Engine]) -> None:
    old, new = install("1.0.0"), install("1.1.0")
    for _ in range(2):
        assert old.start().port
        assert old.terminate() == 0
    (new.home / "data").mkdir()
    (new.home / "data/state.json").write_bytes((old.home / "data/state.json").read_bytes())
    assert new.start().port
    assert (new.state["starts"], new.state["version"]) == (3, "1.1.0")


def test_it_counts_anew_when_its_state_is_unreadable(engine: Engine) -> None:
    (engine.home / "data").mkdir()
    (engine.home / "data/state.json").write_bytes(b"\0\0\0\0")
    engine.start()
    until(lambda: "listening" in engine.log, "listening")
    assert engine.state["starts"] == 1


def test_it_shows_greeting_and_libraries(engine: Engine) -> None:
    (engine.home / "ext/lib/mine.jar").write_bytes(b"")
    status, text = engine.start().get("/")
    assert status == 200
    assert text.splitlines() == [
        "Hello from the sample engine.",
        "version 1.0.0",
        "start 1",
        "ext/lib: README.txt, mine.jar",
    ]


def test_an_unknown_page_is_not_found(engine: Engine) -> None:
    assert engine.start().get("/etc/passwd")[0] == 404


def test_it_writes_nothing_but_its_log_and_state(engine: Engine) -> None:
    before = {path for path in engine.home.rglob("*") if path.is_file()}
    assert engine.start().get("/")[0] == 200
    assert engine.terminate() == 0
    after = {path for path in engine.home.rglob("*") if path.is_file()}
    assert after - before == {engine.home / "logs/engine.log", engine.home / "data/state.json"}


def test_it_takes_its_settings_from_its_configuration(engine: Engine) -> None:
    conf = engine.home / "conf/engine.toml"
    conf.write_text('behaviour = "wrong-version"\n')
    assert engine.start().version() == "0.0.1"


def test_the_environment_goes_before_the_configuration(engine: Engine) -> None:
    (engine.home / "conf/engine.toml").write_text('behaviour = "exit-at-once"\nport = 1\n')
    assert engine.start(behaviour="good").health() == (200, "good")


def test_it_ends_with_1_when_its_port_is_taken(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert engine.start(port=taken.getsockname()[1]).exit_code() == 1
    assert "cannot run" in engine.log


@pytest.mark.parametrize("settings", [{"behaviour": "explode"}, {"port": "http"}])
def test_it_ends_with_1_when_a_setting_makes_no_sense(engine: Engine, settings: dict[str, str]) -> None:
    assert engine.start(**settings).exit_code() == 1
    assert "cannot run" in engine.log


# It fails as it is told to


def test_exit_at_once_ends_before_it_listens(engine: Engine) -> None:
    assert engine.start(behaviour="exit-at-once").exit_code() == 3
    assert "listening" not in engine.log
    assert engine.state["starts"] == 1


def test_exit_later_ends_after_it_listened(engine: Engine) -> None:
    assert engine.start(behaviour="exit-later", fail_after_s=0.2).exit_code() == 3
    assert "listening" in engine.log


def test_exit_later_is_well_until_then(engine: Engine) -> None:
    assert engine.start(behaviour="exit-later", fail_after_s=3600).health() == (200, "good")


def test_hang_accepts_connections_and_does_not_answer(engine: Engine) -> None:
    engine.start(behaviour="hang")
    with pytest.raises(TimeoutError):
        engine.get("/health", timeout_s=0.5)
    assert engine.terminate() == 0


def test_wrong_version_is_well_and_says_another_version(engine: Engine) -> None:
    engine.start(behaviour="wrong-version")
    assert engine.health() == (200, "good")
    assert engine.version() == "0.0.1"


def test_ignore_sigterm_goes_on_until_it_is_killed(engine: Engine) -> None:
    engine.start(behaviour="ignore-sigterm")
    assert engine.health() == (200, "good")
    assert engine.process is not None
    engine.process.terminate()
    until(lambda: "asked to stop, going on" in engine.log, "noticing the signal")
    assert engine.health() == (200, "good")
    engine.process.kill()
    assert engine.exit_code() == -9


def test_flip_flop_is_well_and_unwell_in_turn(engine: Engine) -> None:
    engine.start(behaviour="flip-flop")
    assert [engine.health() for _ in range(4)] == [(200, "good"), (503, "bad")] * 2


def test_slow_start_runs_and_does_not_listen_yet(engine: Engine) -> None:
    engine.start(behaviour="slow-start", slow_start_s=3600)
    until(lambda: "starting" in engine.log, "starting")
    assert engine.state["port"] is None
    assert engine.terminate() == 0


def test_slow_start_listens_in_the_end(engine: Engine) -> None:
    assert engine.start(behaviour="slow-start", slow_start_s=0.3).health() == (200, "good")


def test_a_failure_can_be_bound_to_one_version_by_configuration(install: Callable[[str], Engine]) -> None:
    old, new = install("1.0.0"), install("1.1.0")
    for engine in (old, new):
        (engine.home / "conf/engine.toml").write_text('behaviour."1.1.0" = "exit-at-once"\n')
    assert old.start().health() == (200, "good")
    assert new.start().exit_code() == 3


def test_a_failure_can_be_bound_to_one_version_by_environment(install: Callable[[str], Engine]) -> None:
    old, new = install("1.0.0"), install("1.1.0")
    assert old.start(behaviour="1.1.0=exit-at-once").health() == (200, "good")
    assert new.start(behaviour="1.1.0=exit-at-once").exit_code() == 3


# How it is packed


def test_configuration_and_libraries_are_kept_and_the_rest_is_shipped(engine: Engine) -> None:
    classes = {entry.path: entry.file_class for entry in engine.manifest.files}
    assert classes == {
        "VERSION": FileClass.SHIPPED,
        "bin/engine.py": FileClass.SHIPPED,
        "conf/engine.toml": FileClass.KEPT,
        "ext/lib/README.txt": FileClass.KEPT,
        "share/greeting.txt": FileClass.SHIPPED,
        "share/legacy.txt": FileClass.SHIPPED,
    }


def test_log_and_state_are_the_engines_own(engine: Engine) -> None:
    assert engine.manifest.classify("logs/engine.log") is FileClass.RUNTIME
    assert engine.manifest.classify("data/state.json") is FileClass.RUNTIME


def test_the_second_version_adds_changes_and_drops_a_file(install: Callable[[str], Engine]) -> None:
    old, new = install("1.0.0").manifest, install("1.1.0").manifest
    assert old.find("share/news.txt") is None
    assert new.find("share/news.txt") is not None
    assert new.find("share/legacy.txt") is None
    assert old.find("share/greeting.txt") != new.find("share/greeting.txt")
