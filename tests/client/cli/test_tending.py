"""``start``, ``stop``, ``restart`` and ``doctor``, with each thing that ``doctor`` looks at really broken."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from engineshed_client.agent import host_clock
from engineshed_client.agent.doctor import CHECKS, Finding, Level, examine
from engineshed_client.agent.loop import agent_lock
from engineshed_client.fetch import read_trusted_root
from engineshed_client.journal import State
from engineshed_client.steps.beginning import begin_install
from engineshed_client.supervisor import SystemdSupervisor
from engineshed_packages import exits
from engineshed_packages.enrolment import TokenAnswer
from engineshed_packages.metadata import trusted_view
from tests.client.joined_base import JoinedBase
from tests.conftest import require
from tests.faulty_http import answers
from tests.small_disk import small_disk

NOBODY = 65534


def test_an_engine_is_stopped_started_and_restarted(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    supervisor = joined.context.supervisor
    assert joined.command("stop") == exits.DONE
    assert not supervisor.is_running()
    assert joined.command("start") == exits.DONE
    first = supervisor.identity()
    assert joined.command("--json", "restart") == exits.DONE
    assert supervisor.identity() not in (None, first)
    said = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert (said["do"], said["outcome"], said["probed"], said["version"]) == ("restart", "OK", True, "1.0.0")
    assert [line.split(" do=")[1].split(" ")[0] for line in joined.log_lines("COMMAND")] == [
        "stop",
        "start",
        "restart",
    ]


def test_an_engine_that_was_stopped_by_hand_is_not_started_by_an_update(joined: JoinedBase) -> None:
    joined.install("1.0.0")
    joined.command("stop")
    joined.install("1.1.0")
    assert not joined.context.supervisor.is_running()


def test_there_must_be_an_engine_to_be_started(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert joined.command("start") == exits.REFUSED
    assert "[engine-missing]" in capsys.readouterr().err
    assert "code=engine-missing" in joined.log_lines("COMMAND")[0]


def test_nobody_starts_an_engine_beside_an_attempt_that_could_not_be_ended(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    target = joined.vendor.release("1.1.0")
    journal = begin_install(joined.context, target, bundle=joined.vendor.bundle("1.1.0"))
    joined.context.save(journal.moved(State.DOWNLOADING, joined.context.now()))
    # While the old engine runs, an attempt under way is no reason not to.
    assert joined.command("restart") == exits.DONE


# doctor


def found(joined: JoinedBase, **parts: object) -> dict[str, Finding]:
    context = replace(joined.context, **parts)  # type: ignore[arg-type]  # the test names existing parts
    return {one.check: one for one in examine(context)}


@pytest.fixture
def healthy(joined: JoinedBase) -> JoinedBase:
    joined.install("1.0.0")
    return joined


def test_a_base_in_order_has_no_fault(healthy: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    with healthy.context.fs.lock(agent_lock(healthy.paths)):
        assert healthy.command("--json", "doctor") == exits.DONE
    said = json.loads(capsys.readouterr().out)
    assert said["faults"] == []
    assert [one["check"] for one in said["findings"]] == list(CHECKS)
    assert {one["level"] for one in said["findings"]} == {"ok"}


def test_a_fault_is_told_by_the_exit_code(healthy: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    healthy.paths.credentials.chmod(0o644)
    assert healthy.command("doctor") == exits.FAILED
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault")]
    assert "mode 644" in line
    assert "chmod 600" in line


def test_two_volumes(healthy: JoinedBase, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        healthy.paths.update.rename(tmp_path / "update")
        healthy.paths.update.symlink_to(disk.folder)
        (disk.folder / "work").mkdir()
        assert found(healthy)["volume"].level is Level.FAULT


def test_a_base_that_may_not_be_written(healthy: JoinedBase) -> None:
    require(sys.platform == "linux" and os.geteuid() == 0, "root, to become somebody else")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        finding = next(one for one in examine(healthy.context) if one.check == "rights")
        os.write(write, f"{finding.level} {finding.message}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    said = os.read(read, 4096).decode()
    os.close(read)
    assert said.startswith("fault ")
    assert "disk-denied" in said


def test_too_little_space(healthy: JoinedBase, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        disk.fill(leaving_bytes=0)
        free = disk.free_bytes()
        fs = healthy.context.fs
        fs.free_bytes = lambda folder: free  # type: ignore[method-assign]  # that of a disk that is full
        finding = found(healthy)["space"]
    assert finding.level is Level.FAULT
    assert "make room" in finding.message


def test_a_service_manager_that_cannot_be_reached(healthy: JoinedBase) -> None:
    finding = found(healthy, supervisor=SystemdSupervisor(healthy.paths, "no-such-engine.service"))["service"]
    assert finding.level is Level.FAULT
    assert "engine-service" in finding.message


def test_an_engine_that_was_changed(healthy: JoinedBase) -> None:
    (healthy.paths.engine / "VERSION").write_text("1.0.0 patched")
    finding = found(healthy)["engine"]
    assert finding.level is Level.WARNING
    assert "VERSION" in finding.message


def test_an_updater_that_does_not_run(healthy: JoinedBase) -> None:
    assert found(healthy)["updater"].level is Level.WARNING


def test_a_portal_that_is_away(healthy: JoinedBase) -> None:
    healthy.portal.server.at("/api/v1/token", answers.status(503))
    assert found(healthy)["portal"].level is Level.FAULT


def test_a_base_that_never_joined(healthy: JoinedBase) -> None:
    healthy.paths.credentials.unlink()
    assert found(healthy)["portal"].level is Level.WARNING


@pytest.mark.parametrize("off", [timedelta(minutes=-10), timedelta(minutes=10), timedelta(days=-9000)])
def test_a_clock_that_is_wrong(healthy: JoinedBase, off: timedelta) -> None:
    headers = {"Content-Type": "application/json", "Date": format_datetime(host_clock(), usegmt=True)}
    token = TokenAnswer(access_token="t", expires_s=60)
    healthy.portal.server.at("/api/v1/token", answers.status(200, headers, token.to_bytes()))
    assert found(healthy, now=lambda: host_clock() + off)["clock"].level is Level.FAULT


def unpublish(joined: JoinedBase) -> None:
    joined.portal.server.at("/repo/v1/vendor/metadata/timestamp.json", answers.status(503))


def test_metadata_that_was_never_fetched(healthy: JoinedBase) -> None:
    unpublish(healthy)
    assert found(healthy)["metadata"].level is Level.WARNING


def test_metadata_that_is_damaged(healthy: JoinedBase) -> None:
    assert found(healthy)["metadata"].level is Level.OK
    unpublish(healthy)
    assert found(healthy)["metadata"].level is Level.OK  # as it was fetched before
    (healthy.paths.metadata / "metadata" / "timestamp.json").write_bytes(b"{}")
    assert found(healthy)["metadata"].level is Level.FAULT


def test_metadata_that_ends_soon_or_has_ended(healthy: JoinedBase) -> None:
    context = healthy.context
    assert found(healthy)["metadata"].level is Level.OK
    root = read_trusted_root(context.settings)
    view = trusted_view(cache=context.paths.metadata, trusted_root=root, now=context.now())
    end = min(role.expires for role in view.roles)
    soon, ended = end - timedelta(days=1), end + timedelta(seconds=1)
    assert found(healthy, now=lambda: soon)["metadata"].level is Level.WARNING
    assert found(healthy, now=lambda: ended)["metadata"].level is Level.FAULT
