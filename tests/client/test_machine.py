"""The two tables, the loop, and what is found after every interruption; the real machine on real trees."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engineshed_client import machine
from engineshed_client.errors import AttemptUnfinished, NewerSchema
from engineshed_client.fsops import EffectFile
from engineshed_client.journal import Journal, JournalFile, State
from engineshed_client.machine import MAX_WRITES, RESUME, RETURNING, STEPS, TRANSITIONS, Waiting
from engineshed_client.steps.context import Event
from engineshed_client.steps.ending import OUTCOMES
from engineshed_packages.protocol import Outcome
from tests.client.host import FastFs, Host, Killed
from tests.client.invariants import check_customer, check_log, check_settled

FORWARD = [state for state in STEPS if state not in RETURNING and state is not State.COMMITTED]


class KillingJournals(JournalFile):
    """The process ends right after a state was saved, *skip* times of it let pass."""

    def __init__(self, host: Host, state: State, skip: int = 0) -> None:
        super().__init__(host.paths, FastFs())
        self._state, self._skip = state, skip

    def save(self, journal: Journal) -> None:
        super().save(journal)
        if journal.state is self._state:
            self._skip -= 1
            if self._skip < 0:
                raise Killed(self._state)


def _kill_in(host: Host, state: State, version: str = "1.1.0", skip: int = 0) -> None:
    context = host.context(journals=KillingJournals(host, state, skip))
    with pytest.raises(Killed):
        machine.run(context, host.begin(version, context))


# the tables


def test_every_state_has_a_step_and_a_way_to_resume() -> None:
    assert set(STEPS) == set(State) - {State.IDLE, State.UNKNOWN}
    assert set(RESUME) == set(State) - {State.IDLE}


def test_every_way_through_the_table_ends() -> None:
    following = {state: {to for (left, _), to in TRANSITIONS.items() if left is state} for state in STEPS}
    ending = {State.IDLE}
    while grown := {state for state, ways in following.items() if ways & ending} - ending:
        ending |= grown
    assert ending == {State.IDLE, *STEPS}


def test_only_the_four_outcomes_lead_out_and_each_state_is_left_somehow() -> None:
    out = {left for (left, _), to in TRANSITIONS.items() if to is State.IDLE}
    assert out == set(OUTCOMES)
    assert {left for left, _ in TRANSITIONS} == set(STEPS)


@pytest.mark.parametrize("state", FORWARD)
def test_a_forward_state_that_fails_leads_back(state: State) -> None:
    assert TRANSITIONS[state, Event.FAILED] in RETURNING


def test_nothing_leads_from_a_way_back_to_a_way_forward() -> None:
    for (left, _), to in TRANSITIONS.items():
        assert left not in RETURNING or to in {*RETURNING, State.IDLE}


def test_the_loop_is_short() -> None:
    lines = Path(machine.__file__).read_text(encoding="utf-8").split("    while True:\n")[1].split("\n\n")[0]
    assert len(lines.splitlines()) <= 10


# the whole way


def test_an_update_ends_well(host: Host) -> None:
    assert host.install("1.1.0") is Outcome.OK
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)
    check_customer(host)
    assert host.version == "1.1.0"


def test_the_report_tells_the_states_gone_through(host: Host) -> None:
    host.install("1.1.0")
    steps = [step.state for step in host.reports()[-1].steps]
    assert steps == [state.value for state in STEPS][: steps.index("COMMITTED") + 1]


def test_the_engine_is_stopped_once_and_started_once(host: Host) -> None:
    host.install("1.1.0")
    assert host.processes.history == ["start 1.0.0", "stop 1.0.0", "start 1.1.0"]


def test_the_engine_left_lies_under_the_date(host: Host) -> None:
    before = host.engine()
    host.install("1.1.0")
    assert host.engine(host.base / "engine_20261122") == before


def test_a_first_installation_is_started_and_probed(bare: Host) -> None:
    assert bare.install("1.0.0") is Outcome.OK
    assert (bare.processes.running, bare.reports()[0].probed) == ("1.0.0", True)


def test_a_first_installation_that_fails_leaves_no_engine(bare: Host) -> None:
    bare.processes.behaviour = {"1.0.0": "sick"}
    assert bare.install("1.0.0") is Outcome.ROLLED_BACK
    assert (bare.version, bare.processes.running) == (None, None)
    assert (bare.paths.failed / "VERSION").read_text() == "1.0.0"


def test_an_engine_that_did_not_run_is_not_started(host: Host) -> None:
    host.processes.running = None
    assert host.install("1.1.0") is Outcome.OK
    assert host.processes.running is None
    assert host.log_text().splitlines()[-1].endswith("version=1.1.0 probed=no")


@pytest.mark.parametrize(
    ("behaviour", "code"), [("sick", "unhealthy"), ("exits", "too-many-starts"), ("refuses", "start-failed")]
)
def test_a_broken_release_is_rolled_back_and_remembered(host: Host, behaviour: str, code: str) -> None:
    host.processes.behaviour = {"1.1.0": behaviour}
    before = host.engine()
    assert host.install("1.1.0") is Outcome.ROLLED_BACK
    report = host.reports()[-1]
    assert (report.code, report.version and report.version.text) == (code, "1.0.0")
    assert (host.engine(), host.processes.running) == (before, "1.0.0")
    skipped = host.context().seen.load().skipped
    assert [one.sha256 for one in skipped] == [host.warehouse.target("1.1.0").sha256]


def test_the_report_of_a_failed_engine_holds_its_last_lines_and_those_of_the_attempt(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}
    host.install("1.1.0")
    report = host.reports()[-1]
    assert report.engine_log[-1] == "1.1.0 says hello"
    assert " BEGIN " in report.update_log[0]
    assert " END " in report.update_log[-1]


def test_a_release_that_went_well_at_last_is_off_the_skip_list(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}
    host.install("1.1.0")
    host.processes.behaviour = {}
    assert host.install("1.1.0") is Outcome.OK
    assert host.context().seen.load().skipped == ()


def test_an_engine_that_comes_back_ill_is_broken_and_nothing_is_deleted(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick", "1.0.0": "sick"}
    before = host.engine()
    assert host.install("1.1.0") is Outcome.BROKEN
    assert host.engine() == before
    assert (host.paths.failed / "VERSION").read_text() == "1.1.0"
    check_log(host)
    assert host.reports()[-1].outcome is Outcome.BROKEN


def test_a_broken_engine_is_repaired_by_a_new_attempt(host: Host) -> None:
    (host.paths.engine / "bin/engine.py").unlink()
    assert host.install("1.0.0") is Outcome.OK
    assert (host.paths.engine / "bin/engine.py").read_bytes() == b"print('old')\n"
    check_customer(host)


def test_an_engine_with_a_patched_file_comes_back_with_its_patch(host: Host) -> None:
    (host.paths.engine / "bin/engine.py").write_bytes(b"patched by the customer\n")
    host.processes.behaviour = {"1.1.0": "sick"}
    assert host.install("1.1.0") is Outcome.ROLLED_BACK
    assert (host.paths.engine / "bin/engine.py").read_bytes() == b"patched by the customer\n"


def test_an_engine_patched_while_an_attempt_is_under_way_is_not_broken_by_it(host: Host) -> None:
    _kill_in(host, State.STAGED)
    (host.paths.engine / "bin/engine.py").write_bytes(b"patched in the meantime\n")
    host.settings = replace(host.settings, unlisted="refuse")
    assert host.recover() is Outcome.ABORTED
    assert (host.paths.engine / "bin/engine.py").read_bytes() == b"patched in the meantime\n"
    assert not host.paths.staged.exists()


# interruptions

RESUMED = {
    State.VERIFYING: Outcome.OK,
    State.STAGING: Outcome.OK,
    State.STAGED: Outcome.OK,
    State.STOPPING: Outcome.ABORTED,
    State.CARRYING: Outcome.ABORTED,
    State.SWAPPING: Outcome.ABORTED,
    State.STARTING: Outcome.OK,
    State.PROBING: Outcome.OK,
    State.COMMITTED: Outcome.OK,
}


@pytest.mark.parametrize(("state", "outcome"), RESUMED.items())
def test_an_attempt_interrupted_in_a_state_goes_on_as_the_table_says(
    host: Host, state: State, outcome: Outcome
) -> None:
    _kill_in(host, state)
    assert host.recover() is outcome
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)
    check_customer(host)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (State.ROLLING_BACK, Outcome.ROLLED_BACK),
        (State.ROLLED_BACK, Outcome.ROLLED_BACK),
    ],
)
def test_a_way_back_that_is_interrupted_goes_on(host: Host, state: State, outcome: Outcome) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}
    _kill_in(host, state)
    assert host.recover() is outcome
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


@pytest.mark.parametrize("state", [State.SWAPPING, State.STARTING, State.PROBING])
def test_an_engine_that_is_held_back_at_boot_is_asked_for_and_probed_by_the_next_process(
    host: Host, state: State
) -> None:
    _kill_in(host, state, version="1.1.0")
    host.processes.running = None
    host.processes.held_back = True
    found = machine.recover(host.context())
    if state is State.SWAPPING:  # not swapped yet: there is nothing to be probed
        assert found is Outcome.ABORTED
        return
    assert isinstance(found, Journal)
    assert found.state is State.STARTING
    assert host.processes.history[-1] == "ask for start"
    host.processes.held_back = False
    host.processes.start()  # the service manager does
    assert host.recover() is Outcome.OK
    assert "probed=yes" in host.paths.update_log.read_text()
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_a_way_back_whose_engine_is_held_back_at_boot_is_ended_by_the_next_process(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick"}
    _kill_in(host, State.ROLLING_BACK)
    host.processes.running = None
    host.processes.held_back = True
    found = machine.recover(host.context())
    assert isinstance(found, Journal)
    assert (found.state, host.version) == (State.ROLLING_BACK, "1.0.0")
    host.processes.held_back = False
    assert host.recover() is Outcome.ROLLED_BACK
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_an_end_in_abortion_that_is_interrupted_ends_the_same(host: Host) -> None:
    host.settings = replace(host.settings, unlisted="refuse")
    _kill_in(host, State.ABORTED)
    assert host.recover() is Outcome.ABORTED
    assert host.reports()[-1].code == "unlisted-files"


def test_an_end_in_ruin_that_is_interrupted_ends_the_same(host: Host) -> None:
    host.processes.behaviour = {"1.1.0": "sick", "1.0.0": "sick"}
    _kill_in(host, State.BROKEN)
    assert host.recover() is Outcome.BROKEN
    check_log(host)
    assert host.recover() is None


def test_an_interrupted_download_is_left_to_the_agent(host: Host) -> None:
    _kill_in(host, State.VERIFYING)
    found = machine.recover(host.context())
    assert isinstance(found, Journal)
    assert host.paths.journal.exists()
    assert host.processes.history[-1] == "start 1.0.0"


def test_a_staged_engine_that_was_damaged_is_staged_again(host: Host) -> None:
    _kill_in(host, State.STAGED)
    (host.paths.staged / "bin/engine.py").write_bytes(b"damaged")
    assert host.recover() is Outcome.OK
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_a_staged_engine_that_changes_before_the_stop_costs_no_downtime(host: Host) -> None:
    context = host.context()
    journal = host.begin("1.1.0", context)

    class Changing(JournalFile):
        """Somebody changes the staged engine after it was read back."""

        def save(self, journal: Journal) -> None:
            super().save(journal)
            if journal.state is State.STAGED:
                (host.paths.staged / "bin/engine.py").write_bytes(b"changed")

    context = host.context(journals=Changing(host.paths, FastFs()))
    assert machine.run(context, journal) is Outcome.ABORTED
    assert host.reports()[-1].code == "staged-differs"
    assert host.processes.history == ["start 1.0.0"]


def test_an_engine_that_was_started_more_than_three_times_is_rolled_back(host: Host) -> None:
    _kill_in(host, State.PROBING)
    for _ in range(2):
        host.processes.running = None  # the host was restarted
        with pytest.raises(Killed):
            machine.recover(host.context(journals=KillingJournals(host, State.PROBING)))
    host.processes.running = None
    assert host.recover() is Outcome.ROLLED_BACK
    assert host.reports()[-1].code == "too-many-starts"
    assert host.processes.history[-2:] == ["start 1.1.0", "start 1.0.0"]


def test_a_start_is_counted_before_it_happens(host: Host) -> None:
    _kill_in(host, State.STARTING, skip=1)
    journal = host.context().journals.load()
    assert journal is not None
    assert (journal.starts, host.processes.running) == (1, None)


# journals that say nothing, or too much


@pytest.mark.parametrize("state", RESUMED)
def test_without_its_journal_an_attempt_is_decided_by_facts(host: Host, state: State) -> None:
    _kill_in(host, state)
    host.paths.journal.write_bytes(b"\0" * 500)
    assert host.recover() is None
    assert host.paths.journal.with_name("journal.json.corrupt").exists()
    check_log(host)
    check_customer(host)
    report = host.reports()[-1]
    assert (report.outcome, report.code) == (Outcome.ABORTED, "interrupted")
    assert report.version is not None
    assert report.version.text == host.version == host.processes.running
    assert not host.paths.staged.exists()
    after = host.listing()
    host.recover()
    assert host.listing() == after


def test_an_unknown_state_before_the_swap_is_given_up(host: Host) -> None:
    _kill_in(host, State.STAGED)
    _overwrite_state(host, "DELTA")
    assert host.recover() is Outcome.ABORTED
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_an_unknown_state_after_the_swap_is_rolled_back(host: Host) -> None:
    _kill_in(host, State.PROBING)
    _overwrite_state(host, "CANARY")
    assert host.recover() is Outcome.ROLLED_BACK
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_an_unknown_state_without_the_old_engine_is_broken(host: Host) -> None:
    _kill_in(host, State.PROBING)
    (host.base / "engine_20261122" / "bin/engine.py").unlink()
    _overwrite_state(host, "CANARY")
    assert host.recover() is Outcome.BROKEN
    assert host.version == "1.1.0"


def _overwrite_state(host: Host, state: str) -> None:
    text = host.paths.journal.read_text()
    name = host.context().journals.load()
    assert name is not None
    host.paths.journal.write_text(text.replace(f'"state":"{name.state}","from"', f'"state":"{state}","from"'))


def test_a_newer_journal_is_left_alone_with_everything_else(host: Host) -> None:
    _kill_in(host, State.SWAPPING)
    host.paths.journal.write_text('{"schema":2,"state":"OTHER"}')
    before = host.listing()
    with pytest.raises(NewerSchema):
        host.recover()
    assert host.listing() == before


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(State.STAGING, Outcome.ABORTED), (State.STARTING, Outcome.ROLLED_BACK)],
)
def test_an_attempt_that_goes_round_in_circles_is_ended(host: Host, state: State, outcome: Outcome) -> None:
    _kill_in(host, state)
    journal = host.context().journals.load()
    assert journal is not None
    host.context().journals.save(replace(journal, writes=MAX_WRITES))
    assert host.recover() is outcome
    assert host.reports()[-1].code == "too-many-writes"


# disks that fail where it hurts


class UnwritableJournals(JournalFile):
    """The journal cannot be saved from a state on."""

    def __init__(self, host: Host, state: State) -> None:
        class Full(FastFs):
            """Full for the journal only."""

            full = False

            def write(self, file: EffectFile, data: object) -> int:
                if self.full and "journal" in file.path.name:
                    raise OSError(errno.ENOSPC, "No space left on device", str(file.path))
                return super().write(file, data)  # type: ignore[arg-type]  # typeshed's type is private

        self._fs_full = Full()
        super().__init__(host.paths, self._fs_full)
        self._state = state

    def save(self, journal: Journal) -> None:
        if journal.state is self._state:
            self._fs_full.full = True
        super().save(journal)


UNWRITABLE: dict[State, Outcome] = {
    State.VERIFYING: Outcome.ABORTED,
    State.STAGED: Outcome.ABORTED,
    State.STOPPING: Outcome.ABORTED,
    State.CARRYING: Outcome.ABORTED,
    State.SWAPPING: Outcome.ABORTED,
    State.STARTING: Outcome.ROLLED_BACK,
    State.PROBING: Outcome.ROLLED_BACK,
    State.COMMITTED: Outcome.ROLLED_BACK,
}


@pytest.mark.parametrize(("state", "outcome"), UNWRITABLE.items())
def test_without_a_journal_ways_forward_stop_and_ways_back_go_on(
    host: Host, state: State, outcome: Outcome
) -> None:
    context = host.context(journals=UnwritableJournals(host, state))
    assert machine.run(context, host.begin("1.1.0", context)) is outcome
    assert host.reports()[-1].code == "disk-full"
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_a_new_engine_that_was_never_started_is_not_put_on_the_skip_list(host: Host) -> None:
    context = host.context(journals=UnwritableJournals(host, State.STARTING))
    machine.run(context, host.begin("1.1.0", context))
    assert host.context().seen.load().skipped == ()


class FullFor(FastFs):
    """The disk is full for writes that *meant* says; everything else works."""

    def __init__(self, meant: Callable[[Path], bool]) -> None:
        self._meant = meant

    def write(self, file: EffectFile, data: object) -> int:
        if self._meant(file.path):
            raise OSError(errno.ENOSPC, "No space left on device", str(file.path))
        return super().write(file, data)  # type: ignore[arg-type]  # typeshed's type is private


@pytest.mark.parametrize("folder", ["download", "staged"])
def test_a_disk_that_fills_while_downloading_or_staging_costs_nothing(host: Host, folder: str) -> None:
    before = host.listing(host.paths.engine)
    fs = FullFor(lambda path: folder in path.parts)
    assert host.install("1.1.0", fs) is Outcome.ABORTED
    assert host.reports()[-1].code == "disk-full"
    assert host.listing(host.paths.engine) == before
    assert host.processes.history == ["start 1.0.0"]
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_an_attempt_whose_end_cannot_be_written_is_ended_by_the_next_recovery(host: Host) -> None:
    class NoOutbox(FastFs):
        def announce(self, effect: str, path: Path) -> None:
            if path.parent.name == "outbox" or path.name == "outbox":
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with pytest.raises(AttemptUnfinished) as raised:
        host.install("1.1.0", NoOutbox())
    assert raised.value.code == "disk-full"
    assert (host.version, host.processes.running) == ("1.1.0", "1.1.0")
    assert host.recover() is Outcome.OK
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_what_cannot_be_tidied_up_does_not_keep_an_update_from_ending(host: Host) -> None:
    class NoRemoval(FastFs):
        def announce(self, effect: str, path: Path) -> None:
            if effect == "remove" and path.suffix == ".part":
                raise OSError(errno.EIO, "Input/output error", str(path))

    assert host.install("1.1.0", NoRemoval()) is Outcome.OK
    assert " UNTIDY " in host.log_text()
    host.recover()
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


# waiting


def test_an_attempt_that_waits_is_told_and_stays(host: Host) -> None:
    context = host.context()
    journal = replace(
        host.begin("1.1.0", context), order={"payload": "…"}, bundle=str(host.warehouse.bundle("1.1.0"))
    )
    assert machine.run(context, journal) == Waiting(State.STAGED)
    assert host.processes.history == ["start 1.0.0"]
    found = host.context().journals.load()
    assert found is not None
    assert found.state is State.STAGED
