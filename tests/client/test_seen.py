from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from engineshed_client.errors import DiskTrouble, NewerSchema
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.seen import Seen, SeenFile
from engineshed_packages.ids import derived_id
from engineshed_packages.metadata.seen import Seen as SeenMetadata
from engineshed_packages.metadata.speakers import Speakers
from engineshed_packages.orders import Accepted
from engineshed_packages.protocol import MAX_SKIPPED
from engineshed_packages.versions import Version
from tests.client.journal.values import NOW

ONE, TWO = Version.parse("1.0"), Version.parse("2.0")
SEEN = (
    Seen()
    .with_order("key", Accepted(seq=4, id=derived_id("ord", "four")))
    .with_floor("sample-engine", ONE)
    .with_metadata(SeenMetadata(root_version=2, timestamp_version=9, newest_date=NOW))
    .with_skipped(TWO, "ab" * 32)
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.work.mkdir(parents=True)
    return paths


def test_what_was_seen_is_read_as_it_was_written() -> None:
    assert Seen.from_bytes(SEEN.to_bytes()) == SEEN


def test_fields_of_another_updater_are_kept() -> None:
    seen = Seen.from_bytes(json.dumps({**json.loads(SEEN.to_bytes()), "later": 1}).encode())
    assert json.loads(seen.with_floor("other", TWO).to_bytes())["later"] == 1


def test_an_older_order_does_not_lower_the_number() -> None:
    assert SEEN.with_order("key", Accepted(seq=3, id=derived_id("ord", "three"))) == SEEN


def test_the_highest_number_over_all_keys_is_polled() -> None:
    assert SEEN.with_order("standby", Accepted(seq=6, id=derived_id("ord", "six"))).seq == 6


def speakers(keyid: str, named_by: int) -> Speakers:
    return Speakers(keyids=(keyid,), named_by=named_by)


def test_a_floor_starts_anew_when_other_keys_speak_for_the_product() -> None:
    """Whoever stole the product's key could have raised it above every release to come."""
    old, again, new = speakers("old", 3), speakers("old", 4), speakers("new", 4)
    before = Seen().with_floor("sample-engine", TWO, speakers=old)
    assert before.with_floor("sample-engine", ONE, speakers=again).floors == {"sample-engine": TWO}
    assert before.with_floor("sample-engine", ONE, speakers=new).floors == {"sample-engine": ONE}
    assert before.with_floor("sample-engine", None, speakers=new).floors == {}
    assert before.with_floor("other", ONE, speakers=new).floors["sample-engine"] == TWO


@pytest.mark.parametrize("number", [2, 3])
def test_older_metadata_that_names_other_keys_takes_no_floor_back(number: int) -> None:
    """As somebody replays it who stole the online key."""
    before = Seen().with_floor("sample-engine", TWO, speakers=speakers("new", 3))
    after = before.with_floor("sample-engine", ONE, speakers=speakers("old", number))
    assert after.floors == {"sample-engine": TWO}
    assert after.speakers["sample-engine"] == speakers("new", 3)


def test_a_floor_of_before_keys_were_remembered_is_kept() -> None:
    now = speakers("any", 1)
    seen = Seen().with_floor("sample-engine", TWO).with_floor("sample-engine", ONE, speakers=now)
    assert (seen.floors["sample-engine"], seen.speakers["sample-engine"]) == (TWO, now)
    assert Seen.from_bytes(seen.to_bytes()) == seen


def test_a_lower_floor_does_not_lower_the_floor() -> None:
    raised = SEEN.with_floor("sample-engine", TWO)
    assert raised.with_floor("sample-engine", ONE).floors["sample-engine"] == TWO


def test_a_release_stands_on_the_skip_list_once() -> None:
    assert len(SEEN.with_skipped(TWO, "ab" * 32).skipped) == 1


def test_the_skip_list_is_bounded_and_forgets_the_oldest() -> None:
    seen = SEEN
    for number in range(MAX_SKIPPED):
        seen = seen.with_skipped(TWO, f"{number:064x}")
    assert len(seen.skipped) == MAX_SKIPPED
    assert "ab" * 32 not in {one.sha256 for one in seen.skipped}


def test_a_forgiven_release_is_off_the_skip_list() -> None:
    assert SEEN.without_skipped("ab" * 32).skipped == ()


def test_nothing_was_seen_before_the_first_time(paths: Paths) -> None:
    assert SeenFile(paths, FsOps()).load() == Seen()


def test_what_was_saved_is_loaded(paths: Paths) -> None:
    SeenFile(paths, FsOps()).save(SEEN)
    assert SeenFile(paths, FsOps()).load() == SEEN


def test_a_damaged_file_is_set_aside_and_restored_from_its_copy(paths: Paths) -> None:
    SeenFile(paths, FsOps()).save(SEEN)
    paths.seen.write_bytes(b"\0" * 30)
    assert SeenFile(paths, FsOps()).load() == SEEN
    assert (paths.work / "seen.json.corrupt").read_bytes() == b"\0" * 30
    assert Seen.from_bytes(paths.seen.read_bytes()) == SEEN


def test_a_file_that_is_gone_is_restored_from_its_copy(paths: Paths) -> None:
    SeenFile(paths, FsOps()).save(SEEN)
    paths.seen.unlink()
    assert SeenFile(paths, FsOps()).load() == SEEN


def test_a_damaged_copy_is_written_anew_with_the_next_save(paths: Paths) -> None:
    SeenFile(paths, FsOps()).save(SEEN)
    paths.seen_copy.write_bytes(b"")
    seen = SeenFile(paths, FsOps()).load()
    SeenFile(paths, FsOps()).save(seen)
    assert Seen.from_bytes(paths.seen_copy.read_bytes()) == SEEN


def test_only_when_file_and_copy_are_damaged_a_new_one_is_begun_and_the_loss_is_logged(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    paths.seen.write_bytes(b"\0" * 30)
    paths.seen_copy.write_bytes(b"\0" * 30)
    assert SeenFile(paths, FsOps()).load() == Seen()
    assert sorted(os.listdir(paths.work)) == ["seen.json.copy", "seen.json.corrupt"]
    assert "forgotten" in caplog.records[-1].message
    assert caplog.records[-1].levelname == "ERROR"


class DiskFullAtTheFile(FsOps):
    """The copy can be written, the file cannot."""

    def announce(self, effect: str, path: Path) -> None:
        if path.name == ".seen.json.tmp" and effect == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_save_that_fails_leaves_the_file_as_it_was(paths: Paths) -> None:
    SeenFile(paths, FsOps()).save(SEEN)
    with pytest.raises(DiskTrouble):
        SeenFile(paths, DiskFullAtTheFile()).save(SEEN.with_floor("sample-engine", TWO))
    assert SeenFile(paths, FsOps()).load() == SEEN


def test_a_file_that_cannot_be_read_is_not_forgotten(paths: Paths) -> None:
    paths.seen.mkdir()
    with pytest.raises(DiskTrouble):
        SeenFile(paths, FsOps()).load()


def test_a_newer_file_is_not_touched(paths: Paths) -> None:
    paths.seen.write_bytes(b'{"schema":2}')
    with pytest.raises(NewerSchema):
        SeenFile(paths, FsOps()).load()
    assert paths.seen.exists()
