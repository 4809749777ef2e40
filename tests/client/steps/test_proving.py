from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engineshed_client import machine
from engineshed_client.health import Tick
from engineshed_client.steps.proving import Health, Probed, Row, probe_engine
from engineshed_client.supervisor import engine_output
from engineshed_packages.manifest import ProbeSpec
from engineshed_packages.versions import Version
from tests.client.host import Host

# The host's engines want 2 good ticks in a row and give up after 4.
GOOD_TICKS, MAX_TICKS = 2, 4


@dataclass
class Scripted:
    """An engine whose ticks and processes follow a script; ``.`` is the process of before."""

    ticks: str
    processes: str
    at: int = -1
    seen: list[ProbeSpec] = field(default_factory=list)

    def identity(self) -> str | None:
        letter = self.processes[max(0, self.at)]
        return None if letter == "-" else letter

    def sleep(self, seconds: float) -> None:
        self.at += 1

    def probe(self, spec: ProbeSpec, *, expected_version: Version) -> Tick:
        self.seen.append(spec)
        good = self.ticks[self.at] == "g"
        return Tick(good=good, version="1.0.0" if good else None, reason="good" if good else "it says no")


@pytest.mark.parametrize(
    ("ticks", "processes", "health"),
    [
        ("gg", "aa", Health.GOOD),
        ("bgg", "aaa", Health.GOOD),
        ("bbgg", "aaaa", Health.GOOD),
        ("gbgg", "aaaa", Health.GOOD),
        ("gbgb", "aaaa", Health.BAD),  # a flip-flop never has two in a row
        ("bbbb", "aaaa", Health.BAD),
        ("bbbg", "aaaa", Health.BAD),
        ("g-", "a-", Health.DIED),
        ("-", "-", Health.DIED),
        ("gggg", "abcd", Health.BAD),  # another process at each tick
        ("gggg", "abbb", Health.GOOD),
    ],
)
def test_health_is_so_many_good_ticks_in_a_row_of_one_process(
    host: Host, ticks: str, processes: str, health: Health
) -> None:
    script = Scripted(ticks, processes)
    context = host.context(supervisor=script, sleep=script.sleep, probe=script.probe)
    assert probe_engine(context, Version.parse("1.0.0")).health is health


def rows(ticks: str, processes: str, wanted: int = 3) -> Probed | None:
    """What a row comes to, one letter a tick."""
    row = Row(wanted, processes[0])
    for good, identity in zip(ticks, processes, strict=True):
        tick = Tick(good=good == "g", version=None, reason="well" if good == "g" else "it says no")
        found = row.add(identity, tick)
        if found is not None:
            return found
    return None


@pytest.mark.parametrize(
    ("ticks", "processes", "reason"),
    [
        ("gbgb", "aaaa", None),  # twice may be a slow start
        ("gbgbgb", "aaaaaa", "well and ill in turn, 3 times: it says no"),
        ("ggbggbggb", "aaaaaaaaa", "well and ill in turn, 3 times: it says no"),
        ("bbbbbbbb", "aaaaaaaa", None),  # ill all the time: given up by the number of ticks
        ("ggg", "abc", None),
        ("gggg", "abcd", "the engine's process was replaced 3 times"),
        ("ggggggg", "aabbccd", "the engine's process was replaced 3 times"),
    ],
)
def test_flip_flops_and_restarts_are_given_up_before_all_ticks_are_over(
    ticks: str, processes: str, reason: str | None
) -> None:
    found = rows(ticks, processes)
    assert (None if found is None else (found.health, found.reason)) == (
        None if reason is None else (Health.BAD, reason)
    )


def test_the_version_the_engine_names_is_told(host: Host) -> None:
    script = Scripted("gg", "aa")
    context = host.context(supervisor=script, sleep=script.sleep, probe=script.probe)
    assert probe_engine(context, Version.parse("1.0.0")).measured == "1.0.0"


def test_the_reason_of_the_last_bad_tick_is_told(host: Host) -> None:
    script = Scripted("gbbb", "aaaa")
    context = host.context(supervisor=script, sleep=script.sleep, probe=script.probe)
    assert probe_engine(context, Version.parse("1.0.0")).reason == "after 4 ticks: it says no"


def test_an_engine_is_probed_as_its_manifest_says(host: Host) -> None:
    script = Scripted("gg", "aa")
    context = host.context(supervisor=script, sleep=script.sleep, probe=script.probe)
    probe_engine(context, Version.parse("1.0.0"))
    assert (script.seen[0].good_ticks, script.seen[0].max_ticks) == (GOOD_TICKS, MAX_TICKS)


def test_a_wrong_version_is_ill_health(host: Host) -> None:
    (host.paths.engine / "VERSION").write_text("1.0.0")
    host.processes.behaviour = {}
    host.processes.running = "0.9"
    probed = probe_engine(host.context(), Version.parse("1.0.0"))
    assert (probed.health, probed.measured) == (Health.BAD, "0.9")


def test_an_engine_that_dies_while_it_is_probed_is_started_again_three_times_at_most(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "exits"}
    host.install("1.1.0")
    assert host.processes.history.count("start 1.1.0") == 3
    assert host.log_text().count(" DIED ") == 3


def test_what_is_known_of_an_engine_that_died_is_in_the_log(host: Host) -> None:
    class Reaped:
        """Knows how the engine ended, and what it said last."""

        def __getattr__(self, name: str) -> object:
            return getattr(host.processes, name)

        def exit_code(self) -> int:
            output = engine_output(host.paths)
            output.write_text("starting\nport 8080 is taken\n\n")
            return 3

    host.processes.behaviour = {"1.1.0": "exits"}
    context = host.context(supervisor=Reaped())
    machine.run(context, host.begin("1.1.0", context))
    died = [line.values for line in context.log.read() if line.event == "DIED"]
    assert died[0] == {"starts": "1", "exit": "3", "said": "port 8080 is taken"}


def test_an_engine_that_runs_already_is_not_started_again(host: Host, tmp_path: Path) -> None:
    host.install("1.1.0")
    assert host.processes.history.count("start 1.1.0") == 1
