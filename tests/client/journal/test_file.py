from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engineshed_client.errors import DiskTrouble, JournalUnwritable, NewerSchema
from engineshed_client.fsops import FsOps
from engineshed_client.journal import JournalFile, JournalUnreadable, State
from engineshed_client.paths import Paths
from tests.client.journal.values import JOURNAL, NOW


class FullFs(FsOps):
    """The disk is full at one kind of effect."""

    def __init__(self, effect: str) -> None:
        self._effect = effect

    def announce(self, effect: str, path: Path) -> None:
        if effect == self._effect:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.work.mkdir(parents=True)
    return paths


def test_without_a_file_no_attempt_is_under_way(paths: Paths) -> None:
    assert JournalFile(paths, FsOps()).load() is None


def test_a_saved_journal_is_loaded_and_private(paths: Paths) -> None:
    journals = JournalFile(paths, FsOps())
    journals.save(JOURNAL)
    assert journals.load() == JOURNAL
    assert paths.journal.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_journal_as_it_was(paths: Paths) -> None:
    JournalFile(paths, FsOps()).save(JOURNAL)
    with pytest.raises(JournalUnwritable) as raised:
        JournalFile(paths, FullFs("write")).save(JOURNAL.moved(State.STARTING, NOW))
    assert raised.value.code == "disk-full"
    assert JournalFile(paths, FsOps()).load() == JOURNAL


def test_a_journal_that_reached_its_name_counts_as_saved(paths: Paths) -> None:
    JournalFile(paths, FsOps()).save(JOURNAL)
    JournalFile(paths, FullFs("sync folder")).save(JOURNAL.moved(State.COMMITTED, NOW))
    loaded = JournalFile(paths, FsOps()).load()
    assert loaded is not None
    assert loaded.state is State.COMMITTED


def test_a_damaged_journal_is_told_from_none_and_not_touched(paths: Paths) -> None:
    paths.journal.write_bytes(b"\0" * 300)
    with pytest.raises(JournalUnreadable):
        JournalFile(paths, FsOps()).load()
    assert paths.journal.read_bytes() == b"\0" * 300


def test_a_damaged_journal_is_set_aside_for_people(paths: Paths) -> None:
    paths.journal.write_bytes(b"half")
    JournalFile(paths, FsOps()).set_aside()
    assert os.listdir(paths.work) == ["journal.json.corrupt"]


def test_a_newer_journal_is_not_touched(paths: Paths) -> None:
    paths.journal.write_bytes(b'{"schema":2}')
    with pytest.raises(NewerSchema):
        JournalFile(paths, FsOps()).load()
    assert paths.journal.read_bytes() == b'{"schema":2}'


def test_a_journal_that_cannot_be_looked_at_is_not_absent(paths: Paths) -> None:
    paths.journal.mkdir()
    with pytest.raises(DiskTrouble):
        JournalFile(paths, FsOps()).load()


def test_a_dropped_journal_is_gone_and_dropping_again_is_fine(paths: Paths) -> None:
    journals = JournalFile(paths, FsOps())
    journals.save(JOURNAL)
    journals.drop()
    journals.drop()
    assert journals.load() is None
