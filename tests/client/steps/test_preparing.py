from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from engineshed_client import machine
from engineshed_client.errors import ClientError, PortalUnavailable
from engineshed_client.journal import Journal, State
from engineshed_client.machine import Waiting
from engineshed_client.settings import EngineSettings
from engineshed_client.steps.context import Clearance, Word
from engineshed_packages.protocol import Outcome
from tests.client.host import FastFs, Host
from tests.client.invariants import check_settled
from tests.client.steps.portals import ENVELOPE, Ordered


@dataclass
class SayingGate:
    """Says one thing after the other, the last one for ever."""

    says: list[Clearance | ClientError]
    asked: list[Journal] = field(default_factory=list)

    def ask(self, journal: Journal, now: datetime) -> Clearance:
        self.asked.append(journal)
        word = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(word, ClientError):
            raise word
        return word


GO = Clearance(word=Word.GO)
WAIT = Clearance(word=Word.WAIT, code="window", message="opens later")
CANCEL = Clearance(word=Word.CANCEL, code="cancelled", message="the portal took it back")


def test_outside_its_window_an_attempt_waits_while_the_engine_runs(host: Host) -> None:
    ordered = Ordered(host, SayingGate([WAIT, WAIT, GO]))
    assert ordered.run(ordered.begin()) == Waiting(State.STAGED)
    assert ordered.run(ordered.loaded()) == Waiting(State.STAGED)
    assert host.processes.history == ["start 1.0.0"]
    assert ordered.run(ordered.loaded()) is Outcome.OK


def test_waiting_writes_nothing_to_the_journal(host: Host) -> None:
    ordered = Ordered(host, SayingGate([WAIT]))
    ordered.run(ordered.begin())
    before = ordered.loaded()
    for _ in range(50):
        ordered.run(ordered.loaded())
    assert ordered.loaded() == before


def test_a_portal_that_cannot_be_asked_means_to_wait(host: Host) -> None:
    ordered = Ordered(host, SayingGate([PortalUnavailable("http-503", "busy")]))
    assert ordered.run(ordered.begin()) == Waiting(State.STAGED)


def test_an_order_that_was_taken_back_costs_no_downtime(host: Host) -> None:
    ordered = Ordered(host, SayingGate([CANCEL]))
    assert ordered.run(ordered.begin()) is Outcome.ABORTED
    assert (host.reports()[-1].code, host.processes.history) == ("cancelled", ["start 1.0.0"])
    check_settled(host, begun="1.0.0", wanted="1.1.0", was_running=True, reports=1)


def test_the_gate_sees_the_order_as_it_was_received(host: Host) -> None:
    gate = SayingGate([GO])
    ordered = Ordered(host, gate)
    ordered.run(ordered.begin())
    assert [journal.order for journal in gate.asked] == [ENVELOPE]


def test_a_local_installation_asks_nobody(host: Host) -> None:
    gate = SayingGate([CANCEL])
    context = host.context(gate=gate)
    assert machine.run(context, host.begin("1.1.0", context)) is Outcome.OK
    assert gate.asked == []


def test_unlisted_files_are_refused_before_the_engine_is_stopped(host: Host) -> None:
    host.settings = replace(host.settings, unlisted="refuse")
    assert host.install("1.1.0") is Outcome.ABORTED
    assert (host.reports()[-1].code, host.processes.history) == ("unlisted-files", ["start 1.0.0"])


def test_no_room_for_the_customers_files_is_found_before_the_engine_is_stopped(host: Host) -> None:
    with (host.paths.engine / "data/big").open("wb") as file:
        file.truncate(100 * 1024 * 1024)  # a hole; it would be copied as zeros

    class Small(FastFs):
        def free_bytes(self, folder: Path) -> int:
            return 100 * 1024 * 1024

    assert host.install("1.1.0", Small()) is Outcome.ABORTED
    assert (host.reports()[-1].code, host.processes.history) == ("disk-full", ["start 1.0.0"])


def test_settings_that_do_not_fit_the_new_manifest_are_found_before_the_engine_is_stopped(host: Host) -> None:
    host.settings = replace(host.settings, engine=EngineSettings(good_ticks=99))
    assert host.install("1.1.0") is Outcome.ABORTED
    assert (host.reports()[-1].code, host.processes.history) == ("settings-refused", ["start 1.0.0"])


class Foreign:
    """Something runs on *host* that the updater did not start."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __getattr__(self, name: str) -> object:
        return getattr(self._host.processes, name)

    def is_running(self) -> bool:
        return False

    def leftovers(self) -> tuple[str, ...]:
        return ("process 4711 (engine), found by exe",)


def test_a_process_left_over_before_a_first_installation_does_not_count_against_the_release(
    bare: Host,
) -> None:
    context = bare.context(supervisor=Foreign(bare))
    assert machine.run(context, bare.begin("1.0.0", context)) is Outcome.ABORTED
    assert (bare.reports()[-1].code, context.seen.load().skipped) == ("engine-foreign", ())


def test_an_engine_somebody_else_started_is_left_alone(host: Host) -> None:
    context = host.context(supervisor=Foreign(host))
    assert machine.run(context, host.begin("1.1.0", context)) is Outcome.ABORTED
    assert (host.reports()[-1].code, host.processes.running) == ("engine-foreign", "1.0.0")


def test_patches_of_the_customer_are_told_in_the_log(host: Host) -> None:
    (host.paths.engine / "bin/engine.py").write_bytes(b"patched")
    host.install("1.1.0")
    assert " CHANGED " in host.log_text()
