from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engineshed_client.fsops import FsOps
from engineshed_client.heard import Heard, HeardFile
from engineshed_client.paths import Paths

SINCE = datetime(2026, 11, 22, 8, tzinfo=UTC)
WAITING = Heard(code="waiting-for-approval", text="wait", since=SINCE)
REVOKED = Heard(code="engine-revoked", text="request 1", since=SINCE, refused=True)

AWAY = Heard(code="unreachable", text="/api/v1/poll", since=SINCE, away=True)


@pytest.fixture
def file(tmp_path: Path) -> HeardFile:
    Paths(tmp_path).work.mkdir(parents=True)
    return HeardFile(Paths(tmp_path), FsOps())


@pytest.mark.parametrize("heard", [WAITING, REVOKED, AWAY, replace(WAITING, text="")])
def test_what_is_noted_is_read_back(file: HeardFile, heard: Heard) -> None:
    assert file.load() is None
    assert file.note(heard)
    assert file.load() == heard


@pytest.mark.parametrize("heard", [WAITING, replace(REVOKED, text="request 2"), AWAY])
def test_the_same_said_again_keeps_the_time_it_was_said_first(file: HeardFile, heard: Heard) -> None:
    file.note(replace(heard, text="request 1" if heard.refused or heard.away else heard.text))
    assert not file.note(replace(heard, since=SINCE + timedelta(hours=1)))
    known = file.load()
    assert known is not None
    assert known.since == SINCE


def test_something_else_takes_its_place_and_can_be_forgotten(file: HeardFile) -> None:
    file.note(WAITING)
    assert file.note(REVOKED)
    assert file.load() == REVOKED
    file.forget()
    assert file.load() is None


@pytest.mark.parametrize("heard", [WAITING, REVOKED])
def test_that_somebody_has_to_act_outlives_a_portal_that_is_away(file: HeardFile, heard: Heard) -> None:
    file.note(heard)
    assert not file.note(AWAY)
    assert file.load() == heard


def test_a_damaged_file_is_written_again(file: HeardFile, tmp_path: Path) -> None:
    Paths(tmp_path).heard.write_bytes(b"\0\0")
    assert file.load() is None
    assert file.note(WAITING)
    assert file.load() == WAITING


def test_it_is_told_when_somebody_has_to_act() -> None:
    assert [one.is_news for one in (WAITING, REVOKED, replace(WAITING, code="up-to-date"))] == [
        True,
        True,
        False,
    ]
