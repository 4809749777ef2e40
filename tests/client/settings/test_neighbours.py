"""The version before goes on with the configuration of the one after."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from engineshed_client.errors import SettingsRefused
from engineshed_client.settings import load_settings

LATER = 'product = "portal"\npoll_s = 5\nlater = 1\n[engine]\ngood_ticks = 3\nlater_too = "x"\n'


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "update").mkdir()
    (tmp_path / "update" / "updater.toml").write_text(LATER)
    return tmp_path


def test_what_a_service_does_not_know_is_passed_over_and_said(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        settings = load_settings(base, environ={}, flags={}, unknown="pass")
    assert (settings.poll_s, settings.engine.good_ticks) == (5, 3)
    assert [record.__dict__["setting"] for record in caplog.records] == ["engine.later_too", "later"]


def test_for_every_other_command_it_is_a_fault(base: Path) -> None:
    with pytest.raises(SettingsRefused) as caught:
        load_settings(base, environ={}, flags={})
    assert [fault.partition(" is ")[0] for fault in caught.value.faults] == [
        "updater.toml: later",
        "updater.toml: engine.later_too",
    ]


def test_a_value_that_cannot_be_is_a_fault_for_a_service_too(base: Path) -> None:
    (base / "update" / "updater.toml").write_text(LATER.replace("poll_s = 5", 'poll_s = "often"'))
    with pytest.raises(SettingsRefused, match="poll_s"):
        load_settings(base, environ={}, flags={}, unknown="pass")
