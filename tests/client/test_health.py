"""One look at an engine, through real sockets and programs."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_client.health import probe_once, probe_spec
from engineshed_client.paths import Paths
from engineshed_client.settings import EngineSettings, Settings
from engineshed_packages.manifest import ProbeSpec
from engineshed_packages.versions import Version
from tests.faulty_http import Answer, FaultyServer, answers

WANTED = Version.parse("1.1.0")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


def look(server: FaultyServer, answer: Answer, **spec: str | int) -> tuple[bool, str | None, str]:
    server.at("/health", answer)
    values: dict[str, object] = {"url": f"{server.url}/health", "timeout_s": 1, **spec}
    tick = probe_once(ProbeSpec(**values), expected_version=WANTED)  # type: ignore[arg-type]  # a table of kinds
    return tick.good, tick.version, tick.reason


def test_a_good_answer_is_good(server: FaultyServer) -> None:
    assert look(server, answers.json(b"{}")) == (True, None, "good")


def test_the_version_at_a_pointer_is_read(server: FaultyServer) -> None:
    answer = answers.json(b'{"engine": {"versions": ["0", "1.1"]}}')
    assert look(server, answer, version_pointer="/engine/versions/1") == (True, "1.1", "good")


def test_the_version_by_a_regex_is_read(server: FaultyServer) -> None:
    answer = answers.status(200, {"Content-Type": "text/html"}, b"<b>Engine 1.1.0</b>")
    assert look(server, answer, version_regex="Engine ([0-9.]+)") == (True, "1.1.0", "good")


def test_another_version_is_not_good_and_is_told(server: FaultyServer) -> None:
    good, version, reason = look(server, answers.json(b'{"v": "1.0.0"}'), version_pointer="/v")
    assert (good, version) == (False, "1.0.0")
    assert "1.0.0, expected 1.1.0" in reason


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b'{"v": null}', b'{"v": 1.1}', b'{"v": "soon"}', b"[" * 100_000]
)
def test_an_answer_without_a_version_is_not_good(server: FaultyServer, body: bytes) -> None:
    assert look(server, answers.json(body), version_pointer="/v")[0] is False


def test_a_regex_that_finds_nothing_is_not_good(server: FaultyServer) -> None:
    assert look(server, answers.json(b"{}"), version_regex="v(.*)") == (
        False,
        None,
        "the answer holds no version where one is expected",
    )


@pytest.mark.parametrize("code", [404, 401, 500, 503])
def test_an_error_status_is_not_good(server: FaultyServer, code: int) -> None:
    assert look(server, answers.status(code))[0] is False


@pytest.mark.parametrize(
    "answer",
    [
        answers.silent(),
        answers.dripping(b"x" * 10_000, 0.05),
        answers.dripping_headers(0.05),
    ],
)
def test_a_slow_engine_is_not_good_and_the_look_ends(server: FaultyServer, answer: Answer) -> None:
    assert look(server, answer)[0] is False


def test_of_an_endless_answer_only_the_beginning_is_read(server: FaultyServer) -> None:
    assert look(server, answers.endless(), version_regex="(nothing)")[2].startswith(
        "the answer holds no version"
    )


def test_what_an_engine_says_can_do_no_harm_in_a_log(server: FaultyServer) -> None:
    answer = answers.status(200, {}, b"v\x1b[2Jx")
    assert look(server, answer, version_regex="v(.*)")[1] == "\\x1b[2Jx"


def test_nobody_listening_is_not_good() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        tick = probe_once(ProbeSpec(url=f"http://127.0.0.1:{port}/"), expected_version=WANTED)
        assert (tick.good, tick.version) == (False, None)


def test_a_port_that_takes_connections_is_good() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        spec = ProbeSpec(tcp=f"127.0.0.1:{server.getsockname()[1]}")
        assert probe_once(spec, expected_version=WANTED).good


def test_a_port_that_takes_none_is_not_good() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        spec = ProbeSpec(tcp=f"127.0.0.1:{unused.getsockname()[1]}")
        assert not probe_once(spec, expected_version=WANTED).good


def by_command(code: str, **spec: str | int) -> tuple[bool, str | None, str]:
    values: dict[str, object] = {"command": (sys.executable, "-c", code), "timeout_s": 20, **spec}
    tick = probe_once(ProbeSpec(**values), expected_version=WANTED)  # type: ignore[arg-type]  # a table of kinds
    return tick.good, tick.version, tick.reason


def test_a_command_that_ends_well_is_good() -> None:
    assert by_command("print('version 1.1.0')", version_regex="version (.*)") == (True, "1.1.0", "good")


def test_a_command_that_fails_is_not_good() -> None:
    assert by_command("raise SystemExit(3)") == (False, None, "the probe command ended with exit status 3")


def test_a_command_that_hangs_is_ended_at_the_deadline() -> None:
    assert by_command("import time; time.sleep(600)", timeout_s=1) == (
        False,
        None,
        "the probe command did not end within 1 s",
    )


def test_a_command_that_hands_its_output_to_a_child_is_ended_with_it() -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    assert by_command(code, timeout_s=1)[0] is False


def test_a_command_that_writes_without_end_is_ended_at_the_deadline() -> None:
    assert by_command("while True: print('x' * 1000)", timeout_s=1)[0] is False


def test_a_command_that_does_not_exist_is_not_good() -> None:
    tick = probe_once(ProbeSpec(command=("/no/such/probe",)), expected_version=WANTED)
    assert "/no/such/probe" in tick.reason


def test_placeholders_are_filled_and_settings_go_before_the_manifest(tmp_path: Path) -> None:
    settings = Settings(
        base=tmp_path,
        product="portal",
        platform="any",
        trusted_root=tmp_path / "root.json",
        engine=EngineSettings(probe_command=("{engine}/bin/health", "{base}"), max_ticks=9),
    )
    spec = probe_spec(ProbeSpec(tcp="127.0.0.1:1"), settings, Paths(tmp_path))
    assert spec == ProbeSpec(command=(f"{tmp_path}/engine/bin/health", str(tmp_path)), max_ticks=9)
