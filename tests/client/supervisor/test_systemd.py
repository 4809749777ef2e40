"""What ``systemctl show`` tells; the supervisor itself meets a real systemd in ``tests/systemd``."""

from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_client.errors import EngineTrouble
from engineshed_client.paths import Paths
from engineshed_client.supervisor import SystemdSupervisor
from engineshed_client.supervisor.systemd import Unit


@pytest.mark.parametrize(
    ("active", "process", "identity"),
    [
        ("active", "17", "17:abc"),
        ("active", "0", "0:abc"),  # a unit that stays up behind what it started
        ("reloading", "17", "17:abc"),
        ("activating", "17", "17:abc"),  # Type=notify, and not up yet
        ("activating", "0", None),  # waits to be started again
        ("deactivating", "17", None),
        ("failed", "0", None),
        ("inactive", "0", None),
    ],
)
def test_who_runs(active: str, process: str, identity: str | None) -> None:
    assert Unit({"ActiveState": active, "MainPID": process, "InvocationID": "abc"}).identity == identity


@pytest.mark.parametrize(
    ("active", "is_down"), [("inactive", True), ("failed", True), ("deactivating", False)]
)
def test_what_can_be_stopped(active: str, is_down: bool) -> None:
    assert Unit({"ActiveState": active}).is_down is is_down


def test_a_host_without_systemd_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineTrouble, match="systemctl cannot be run") as caught:
        SystemdSupervisor(Paths(tmp_path), "cockpit.service").is_running()
    assert caught.value.code == "engine-service"
