"""How an engine is run: placeholders, and the specifications as values of their own."""

from collections.abc import Callable

import pytest

from engineshed_packages.errors import ManifestRefused
from engineshed_packages.manifest import Placeholders, ProbeSpec, StartSpec, StopSpec

PLACEHOLDERS = Placeholders(engine="/opt/x/engine", base="/opt/x", python="/usr/bin/python3")


def test_placeholders_are_filled_wherever_they_stand() -> None:
    command = ("{python}", "{engine}/bin/engine.py", "--base={base}")
    assert PLACEHOLDERS.fill_all(command) == (
        "/usr/bin/python3",
        "/opt/x/engine/bin/engine.py",
        "--base=/opt/x",
    )


@pytest.mark.parametrize("text", ["{}", "{port}", "{ engine }", "{engine", "${HOME}", '{"json": 1}'])
def test_other_braces_stand_for_themselves(text: str) -> None:
    assert PLACEHOLDERS.fill(text) == text


def test_what_is_put_in_is_not_filled_again() -> None:
    placeholders = Placeholders(engine="/opt/{base}", base="/opt", python="python")
    assert placeholders.fill("{engine}") == "/opt/{base}"


@pytest.mark.parametrize(
    "probe",
    [
        ProbeSpec(url="https://localhost/health", version_regex=r"version=(\S+)"),
        ProbeSpec(url="http://{engine}/", version_pointer=""),
        ProbeSpec(tcp="127.0.0.1:80", good_ticks=1, max_ticks=1),
        ProbeSpec(tcp="[::1]:65535"),
        ProbeSpec(
            command=("{engine}/bin/check", "--quick"), version_regex="(.+)", timeout_s=60, interval_s=10
        ),
    ],
)
def test_a_probe_is_read_as_it_was_written(probe: ProbeSpec) -> None:
    assert ProbeSpec.from_dict(probe.to_dict()) == probe


@pytest.mark.parametrize("stop", [StopSpec(), StopSpec(command=("{engine}/bin/stop",), timeout_s=120)])
def test_a_stop_is_read_as_it_was_written(stop: StopSpec) -> None:
    assert StopSpec.from_dict(stop.to_dict()) == stop


def test_a_start_is_read_as_it_was_written() -> None:
    start = StartSpec(
        command=("java", "-jar", "{engine}/lib/a.jar"), env={"JAVA_HOME": "/opt/jdk", "EMPTY": ""}
    )
    assert StartSpec.from_dict(start.to_dict()) == start


SENSELESS: dict[str, Callable[[], object]] = {
    "NUL in an argument": lambda: StartSpec(command=("a", "b\0c")),
    "variable without a name": lambda: StartSpec(command=("a",), env={"": "1"}),
    "NUL in a variable": lambda: StartSpec(command=("a",), env={"A": "1\0"}),
    "stop in no time": lambda: StopSpec(timeout_s=0),
    "stop in two days": lambda: StopSpec(timeout_s=2 * 86_400),
    "tick in no time": lambda: ProbeSpec(tcp="a:1", timeout_s=0),
    "no time between ticks": lambda: ProbeSpec(tcp="a:1", interval_s=0),
    "no good tick": lambda: ProbeSpec(tcp="a:1", good_ticks=0),
    "nothing to ask": ProbeSpec,
}


@pytest.mark.parametrize("make", SENSELESS.values(), ids=SENSELESS)
def test_a_specification_that_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ManifestRefused) as caught:
        make()
    assert caught.value.code == "manifest-unreadable"
