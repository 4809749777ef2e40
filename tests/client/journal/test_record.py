import json
from dataclasses import replace

import pytest

from engineshed_client.errors import NewerSchema
from engineshed_client.journal import Goal, Journal, State
from engineshed_client.journal.record import MAX_JOURNAL_BYTES, MAX_STEPS
from engineshed_packages.errors import PackagesError
from tests.client.journal.values import JOURNAL, NEW, NOW, TARGET


def _changed(**values: object) -> bytes:
    return json.dumps({**json.loads(JOURNAL.to_bytes()), **values}).encode()


def test_a_journal_is_read_as_it_was_written() -> None:
    assert Journal.from_bytes(JOURNAL.to_bytes()) == JOURNAL


def test_absence_is_read_as_absence() -> None:
    bare = replace(
        JOURNAL, origin=None, order=None, order_id=None, bundle=None, was_running=None, previous=None
    )
    assert Journal.from_bytes(bare.to_bytes()) == bare


def test_a_rollback_is_read_as_it_was_written() -> None:
    goal = Goal(version=NEW, manifest_sha256="cd" * 32, folder="engine_20261120")
    journal = replace(JOURNAL, goal=goal)
    assert Journal.from_bytes(journal.to_bytes()).goal == goal


def test_fields_of_another_updater_are_kept_and_written_back() -> None:
    journal = Journal.from_bytes(_changed(later={"a": 1}))
    assert json.loads(journal.moved(State.STARTING, NOW).to_bytes())["later"] == {"a": 1}


def test_a_state_of_another_updater_is_unknown() -> None:
    assert Journal.from_bytes(_changed(state="DELTA")).state is State.UNKNOWN


def test_a_newer_schema_is_left_to_the_newer_updater() -> None:
    with pytest.raises(NewerSchema):
        Journal.from_bytes(_changed(schema=2, state=["other"]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 400,
        b"{",
        b"[]",
        JOURNAL.to_bytes()[:-20],
        _changed(schema=None),
        _changed(schema="1"),
        _changed(to=None),
        _changed(attempt="../x"),
        _changed(kind="other"),
        _changed(writes=-1),
        b"{" + b" " * MAX_JOURNAL_BYTES + b"}",
    ],
)
def test_a_damaged_journal_is_unreadable(data: bytes) -> None:
    with pytest.raises(PackagesError):
        Journal.from_bytes(data)


def test_names_of_states_on_disk_are_constants() -> None:
    names = "IDLE DOWNLOADING VERIFYING STAGING STAGED STOPPING CARRYING SWAPPING STARTING PROBING COMMITTED"
    names += " ABORTED ROLLING_BACK ROLLED_BACK BROKEN UNKNOWN"
    assert [state.value for state in State] == names.split()


def test_the_first_fault_is_kept() -> None:
    first = replace(JOURNAL, code="", message="").with_fault("unhealthy", "it was sick")
    assert (first.with_fault("later", "x").code, first.message) == ("unhealthy", "it was sick")


def test_a_message_with_controls_is_written_out() -> None:
    journal = replace(JOURNAL, code="").with_fault("disk-error", "file \x1b[2J\udcff")
    assert Journal.from_bytes(journal.to_bytes()).message == "file \\x1b[2J\\udcff"


def test_the_states_gone_through_are_bounded() -> None:
    journal = JOURNAL
    for _ in range(MAX_STEPS + 5):
        journal = journal.moved(State.PROBING, NOW)
    assert len(Journal.from_bytes(journal.to_bytes()).steps) == MAX_STEPS


def test_a_goal_is_either_a_package_or_a_kept_folder() -> None:
    with pytest.raises(ValueError, match="either"):
        Goal(version=NEW, manifest_sha256="cd" * 32, target=TARGET, folder="engine_20261122")
