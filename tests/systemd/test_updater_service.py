"""The units of updater and recovery on a real systemd: boot order, power cuts in updates, least rights."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass

import pytest

from engineshed_client.install.trees import find_tree
from engineshed_client.journal import State
from tests.server.serve.processes import wait_until
from tests.systemd.site import ENGINE_UNIT, IN_AN_UPDATE, Site
from tests.systemd.test_portal_service import state_of, try_everything

UNIT = "engineshed-updater.service"
RECOVER = "engineshed-recover.service"
TRIES = 5
# Long enough to be unpacked that the power fails in the midst of it.
MANY_FILES = {f"share/many/{number}.txt": b"x" * 2000 for number in range(400)}


@pytest.fixture(autouse=True)
def _all_run(site: Site) -> None:
    """Each test begins with a portal and an updater that run."""
    site.wait_for_portal()
    wait_until(lambda: state_of(site, UNIT) == "active", "the updater runs")


def at_s(site: Site, unit: str, moment: str) -> float:
    """When *unit* last came to *moment*, seconds since boot."""
    return int(site.container.show(unit, f"{moment}TimestampMonotonic").popitem()[1]) / 1e6


def engine_starts(site: Site) -> list[str]:
    """What the engine's unit found at each of its starts."""
    path = site.sources / "engine-starts"
    return path.read_text("utf-8").split() if path.exists() else []


def main_pid(site: Site) -> str:
    return site.container.show(UNIT, "MainPID")["MainPID"]


def test_the_installed_updater_has_installed_the_engine_and_runs_as_its_user(site: Site) -> None:
    wait_until(lambda: site.engine_version() == "1.0.0", "the engine answers")
    shown = json.loads(site.client("service", "show", "--engine-unit", ENGINE_UNIT, "--json"))
    assert [(one["file"], one["enabled"], one["active"]) for one in shown["units"]] == [
        ("current", "enabled", "active"),
        ("current", "enabled", "active"),
    ]
    assert site.container.show(UNIT, "User")["User"] == "engine"


def test_the_engine_outlives_its_updaters_stop_and_death(site: Site) -> None:
    wait_until(lambda: site.journal() == {}, "the first attempt has ended")
    before = (site.base / "update/work/service.json").read_bytes()
    site.container.run("systemctl", "stop", UNIT)
    assert site.engine_version() == "1.0.0"
    assert site.container.show(UNIT, "Result", "ExecMainStatus") == {
        "Result": "success",
        "ExecMainStatus": "0",
    }
    site.container.run("systemctl", "start", UNIT)
    killed = main_pid(site)
    site.container.run("kill", "-KILL", killed)
    wait_until(lambda: main_pid(site) not in ("0", killed), "the updater is started again")
    assert site.engine_version() == "1.0.0"
    assert (site.base / "update/work/service.json").read_bytes() == before


def test_a_wrong_configuration_is_not_started_again_and_again(site: Site) -> None:
    with site.drop_in(UNIT, "[Service]\nEnvironment=ENGINESHED_POLL_S=never\nRestartSec=100ms\n"):
        site.container.run("systemctl", "restart", UNIT)
        wait_until(lambda: state_of(site, UNIT) == "failed", "it has failed")
        time.sleep(1)
        assert site.container.show(UNIT, "ExecMainStatus", "NRestarts") == {
            "ExecMainStatus": "78",
            "NRestarts": "0",
        }
    site.container.run("systemctl", "restart", UNIT)


@dataclass(frozen=True)
class Caught:
    """An update found in the state it was looked for in.

    `origin` and `target` are versions; `ends` and `starts` count what was logged before.
    """

    origin: str
    target: str
    ends: int
    starts: int


def catch_update(site: Site, state: State, line: str) -> Caught:
    """Publishes versions of `line`, as "1.2", until the update to one of them is seen in `state`.

    A state may be over in the blink of an eye: what was missed is not waited for.
    """
    for patch in range(TRIES):
        wait_until(lambda: site.journal() == {}, "nothing is under way")
        caught = Caught(
            origin=str(site.engine_version()),
            target=f"{line}.{patch}",
            ends=len(site.log_lines("END")),
            starts=len(engine_starts(site)),
        )
        site.publish(caught.target, files=MANY_FILES if state is State.STAGING else None)
        until_s = time.monotonic() + 60
        while site.journal().get("state") != state.value:
            if len(site.log_lines("END")) > caught.ends:
                break
            assert time.monotonic() < until_s, f"no update to {caught.target}"
            time.sleep(0.0005)
        else:
            return caught
    pytest.fail(f"none of {TRIES} updates was seen in {state.value}")


@pytest.mark.parametrize(
    ("cut_in", "line"), [(State.STAGING, "1.1"), (State.STARTING, "1.2"), (State.PROBING, "1.3")]
)
def test_an_update_that_a_power_cut_interrupts_is_recovered_before_the_engine_starts(
    site: Site, cut_in: State, line: str
) -> None:
    caught = catch_update(site, cut_in, line)
    origin, target = caught.origin, caught.target
    attempt = site.journal()["attempt"]
    site.container.cut_power()
    site.boot()
    assert_the_boot_was_in_order(site)

    # What the engine's unit found when it was started: one whole engine. Before the swap the update may go on
    # beside it; from the swap on it has its END by then.
    found = engine_starts(site)[caught.starts :]
    if cut_in is State.STAGING:
        assert found in ([origin], [origin, IN_AN_UPDATE])
    else:
        assert found in ([origin], [target])
        (end,) = [line for line in site.log_lines("END")[caught.ends :] if f"attempt={attempt}" in line]
        assert re.search(r"outcome=(OK|ABORTED|ROLLED_BACK)", end), end
        assert ("outcome=OK" in end) == (found == [target])

    # And in the end the update comes to where it was to go.
    wait_until(lambda: site.engine_version() == target, "the engine is updated", patience_s=90)
    wait_until(lambda: site.journal() == {}, "the attempt has ended")
    tree = find_tree(site.base / "engine")
    assert tree is not None
    assert (tree.manifest.version.text, tree.is_whole()) == (target, True)
    assert_every_attempt_has_one_end(site)


def assert_the_boot_was_in_order(site: Site) -> None:
    recovered_s = at_s(site, RECOVER, "ActiveEnter")
    assert site.container.show(RECOVER, "ActiveState", "Result") == {
        "ActiveState": "active",
        "Result": "success",
    }
    assert 0 < recovered_s <= at_s(site, UNIT, "ExecMainStart")
    assert recovered_s <= at_s(site, ENGINE_UNIT, "ExecMainStart")


def assert_every_attempt_has_one_end(site: Site) -> None:
    begun, ended = (
        [re.findall(r"attempt=(\S+)", line)[0] for line in site.log_lines(event)]
        for event in ("BEGIN", "END")
    )
    assert sorted(begun) == sorted(ended)
    assert len(set(ended)) == len(ended)


def test_an_engine_that_could_not_be_recovered_is_not_started_by_its_unit(site: Site) -> None:
    site.container.run("systemctl", "stop", ENGINE_UNIT, RECOVER)
    starts = len(engine_starts(site))
    with site.drop_in(RECOVER, "[Service]\nEnvironment=ENGINESHED_POLL_S=never\n"):
        done = site.container.try_run("systemctl", "start", ENGINE_UNIT)
    assert done.returncode != 0
    assert "dependency" in done.stderr
    assert len(engine_starts(site)) == starts
    site.container.run("systemctl", "start", ENGINE_UNIT)
    assert len(engine_starts(site)) > starts


def test_least_rights_are_in_force_while_updates_work(site: Site) -> None:
    own, result = "/opt/engine/update", "/opt/engine/update/attempts.json"
    possible = try_everything(site, UNIT, user="engine", own=own, result=result)
    # The engine is the updater's child: Java must compile, and it has its part of /tmp and /proc.
    needed = {
        "map_writable_and_executable",
        "open_netlink",
        "see_other_processes",
        "see_shared_temporary_files",
    }
    assert possible == {"write_own"} | needed
    site.publish("1.4.0")
    wait_until(lambda: site.engine_version() == "1.4.0", "the engine is updated", patience_s=60)


def test_removing_the_units_leaves_engine_and_base(site: Site) -> None:
    version = site.engine_version()
    program = "/opt/engineshed/bin/engineshed-client"
    told = site.container.try_run(program, "--base", "/opt/engine", "service", "remove").stderr
    assert "stays as it is" in told
    assert site.container.show(UNIT, "LoadState")["LoadState"] == "not-found"
    assert site.container.show(RECOVER, "LoadState")["LoadState"] == "not-found"
    assert site.engine_version() == version
    site.container.run(
        program, "--base", "/opt/engine", "service", "install", "--engine-unit", ENGINE_UNIT, "--now"
    )
    assert state_of(site, UNIT) == "active"
    assert site.engine_version() == version
