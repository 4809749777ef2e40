"""Which upload belongs to which file, over two starts of a command."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import pytest

from engineshed_packages.errors import Conflict
from engineshed_packages.ids import new_id
from engineshed_packages.uploads.memory import EDGE_BYTES, KEPT_S, Memory, SentFile

PORTAL = "https://portal.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "bundle.zip"
    made.write_bytes(os.urandom(3 * EDGE_BYTES))
    return made


def change(path: Path, at: int) -> None:
    """Another byte in a file that keeps its time."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_second_start_recalls_the_upload(tmp_path: Path, path: Path) -> None:
    upload_id = new_id("upl")
    Memory(tmp_path / "state").keep(PORTAL, SentFile.of(path), upload_id=upload_id)
    again = Memory(tmp_path / "state")
    assert again.recall(PORTAL, SentFile.of(path)) == upload_id
    assert again.recall("https://other.example", SentFile.of(path)) is None
    again.forget(PORTAL, SentFile.of(path))
    assert again.recall(PORTAL, SentFile.of(path)) is None


def test_a_moved_file_is_the_same_file(tmp_path: Path, path: Path) -> None:
    upload_id = new_id("upl")
    memory = Memory(tmp_path / "state")
    memory.keep(PORTAL, SentFile.of(path), upload_id=upload_id)
    moved = path.rename(tmp_path / "moved.zip")
    assert memory.recall(PORTAL, SentFile.of(moved)) == upload_id


@pytest.mark.parametrize("at", [0, -1])
def test_other_content_at_either_end_is_another_file(tmp_path: Path, path: Path, at: int) -> None:
    memory = Memory(tmp_path / "state")
    memory.keep(PORTAL, SentFile.of(path), upload_id=new_id("upl"))
    change(path, at)
    assert memory.recall(PORTAL, SentFile.of(path)) is None


def test_another_time_is_another_file(tmp_path: Path, path: Path) -> None:
    memory = Memory(tmp_path / "state")
    memory.keep(PORTAL, SentFile.of(path), upload_id=new_id("upl"))
    os.utime(path, (1, 1))
    assert memory.recall(PORTAL, SentFile.of(path)) is None


def test_a_file_that_changes_while_it_is_sent_is_noticed(path: Path) -> None:
    sent = SentFile.of(path)
    sent.check_unchanged()
    path.write_bytes(b"shorter")
    with pytest.raises(Conflict) as caught:
        sent.check_unchanged()
    assert caught.value.code == "file-changed"


def test_what_is_remembered_holds_no_address_and_is_the_users_own(tmp_path: Path, path: Path) -> None:
    upload_id = new_id("upl")
    Memory(tmp_path / "state").keep(PORTAL, SentFile.of(path), upload_id=upload_id)
    (kept,) = (tmp_path / "state").iterdir()
    assert kept.read_text() == f"{upload_id}\n"
    if sys.platform != "win32":
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_memory_somebody_wrote_into_leads_nowhere(tmp_path: Path, path: Path) -> None:
    memory = Memory(tmp_path / "state")
    memory.keep(PORTAL, SentFile.of(path), upload_id=new_id("upl"))
    (kept,) = (tmp_path / "state").iterdir()
    for text in ("https://evil.example/x", "../x", "", "upl_" + "a" * 19):
        kept.write_text(text)
        assert memory.recall(PORTAL, SentFile.of(path)) is None


def test_old_memories_are_swept(tmp_path: Path, path: Path) -> None:
    memory = Memory(tmp_path / "state")
    memory.keep("https://old.example", SentFile.of(path), upload_id=new_id("upl"))
    (old,) = (tmp_path / "state").iterdir()
    long_ago = time.time() - KEPT_S - 1
    os.utime(old, (long_ago, long_ago))
    memory.keep(PORTAL, SentFile.of(path), upload_id=new_id("upl"))
    assert not old.exists()


def test_a_user_without_a_home_remembers_nothing(path: Path) -> None:
    memory = Memory.of_user({})
    memory.keep(PORTAL, SentFile.of(path), upload_id=new_id("upl"))
    assert memory.recall(PORTAL, SentFile.of(path)) is None


@pytest.mark.skipif(sys.platform == "win32", reason="it lies elsewhere there")
def test_the_memory_is_where_the_users_state_is(tmp_path: Path, path: Path) -> None:
    file, upload_id = SentFile.of(path), new_id("upl")
    Memory.of_user({"XDG_STATE_HOME": str(tmp_path / "state")}).keep(PORTAL, file, upload_id=upload_id)
    assert len(list((tmp_path / "state/engineshed/uploads").iterdir())) == 1
    Memory.of_user({"HOME": str(tmp_path)}).keep(PORTAL, file, upload_id=upload_id)
    assert len(list((tmp_path / ".local/state/engineshed/uploads").iterdir())) == 1
