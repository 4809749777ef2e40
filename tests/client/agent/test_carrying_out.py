"""Orders that are no attempt, on a host whose updater is killed and whose disk fails."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import timedelta

import pytest

from engineshed_client import machine
from engineshed_client.agent.carrying_out import Result, attempt_of, carry_out, finish
from engineshed_client.agent.pending import Pending, PendingFile
from engineshed_client.errors import DiskTrouble, NewerSchema
from engineshed_packages.ids import derived_id
from engineshed_packages.orders import Accepted, Order
from engineshed_packages.protocol import Outcome
from tests.client.host import ENGINE_ID, NOW, FailingFs, FastFs, Host, Killed, KillingFs


def an_order(do: str, **changes: object) -> Order:
    order = Order(
        portal=derived_id("ptl", "one"),
        engine=ENGINE_ID,
        id=derived_id("ord", do),
        seq=7,
        issued=NOW,
        accept_before=NOW + timedelta(days=7),
        do=do,
    )
    return replace(order, **changes)  # type: ignore[arg-type]  # fields by name


def told(host: Host, order: Order) -> list[tuple[str, str, str, str]]:
    """Kind, outcome, code and order of the reports about *order*; of one attempt each."""
    about = [one for one in host.reports() if one.order == order.id]
    assert all(one.attempt == attempt_of(order) for one in about)
    return [(one.kind, one.outcome.value, one.code, one.order or "") for one in about]


def settled(host: Host) -> bool:
    """Nothing is left of the order but its report."""
    return not host.paths.order.exists() and not list(host.paths.work.glob("*.tmp*"))


@pytest.mark.parametrize(
    ("do", "runs_before", "runs_after", "history"),
    [
        ("stop", True, None, ["stop 1.0.0"]),
        ("stop", False, None, []),
        ("start", False, "1.0.0", ["start 1.0.0"]),
        ("start", True, "1.0.0", []),
        ("restart", True, "1.0.0", ["stop 1.0.0", "start 1.0.0"]),
        ("restart", False, "1.0.0", ["start 1.0.0"]),
        ("cancel", True, "1.0.0", []),
        ("cancel", False, None, []),
    ],
)
def test_each_verb_does_what_it_says_with_one_line_and_one_report(
    host: Host, do: str, runs_before: bool, runs_after: str | None, history: list[str]
) -> None:
    if not runs_before:
        host.processes.stop(1)
    host.processes.history.clear()
    order = an_order(do, message="as agreed")
    result = carry_out(host.context(), order)
    assert (result.outcome, result.code, result.probed) == (Outcome.OK, "ok", "start" in do)
    assert (host.processes.running, host.processes.history) == (runs_after, history)
    assert told(host, order) == [(do, "OK", "ok", order.id)]
    (line,) = [line for line in host.log_text().splitlines() if " ORDER " in line]
    assert f"do={do} order={order.id} outcome=OK code=ok" in line
    assert 'why="as agreed"' in line
    assert settled(host)


def test_a_report_tells_the_version_that_is_installed_and_the_number_of_the_order(host: Host) -> None:
    order = an_order("restart")
    carry_out(host.context(), order)
    report = host.reports()[-1]
    assert report.version is not None
    assert (report.version.text, report.measured_version, report.seq) == ("1.0.0", "1.0.0", 7)
    assert report.from_version == report.to_version == report.version


@pytest.mark.parametrize(
    ("behaviour", "do", "code"),
    [
        ("sick", "restart", "unhealthy"),
        ("exits", "restart", "unhealthy"),
        ("refuses", "restart", "start-failed"),
        ("clings", "stop", "engine-left"),
        ("clings", "restart", "engine-left"),
    ],
)
def test_an_engine_that_does_not_do_as_told_is_reported_with_its_code(
    host: Host, behaviour: str, do: str, code: str
) -> None:
    host.processes.behaviour = {"1.0.0": behaviour}
    result = carry_out(host.context(), an_order(do))
    assert (result.outcome, result.code, result.message != "") == (Outcome.ABORTED, code, True)
    assert told(host, an_order(do)) == [(do, "ABORTED", code, an_order(do).id)]
    assert settled(host)


def test_without_an_engine_nothing_can_be_started_and_nothing_needs_to_be_stopped(bare: Host) -> None:
    assert carry_out(bare.context(), an_order("start")).code == "engine-missing"
    assert carry_out(bare.context(), an_order("stop")).code == "ok"


def test_an_updater_that_was_never_enrolled_only_writes_its_log(host: Host) -> None:
    carry_out(host.context(engine_id=None), an_order("stop"))
    assert told(host, an_order("stop")) == []
    assert " ORDER " in host.log_text()


def _after_a_kill_at(host: Host, do: str, number: int) -> bool:
    """The order is carried out, killed before effect *number*, and finished; False when it was not killed."""
    context = host.context(KillingFs(number))
    seen = context.seen.load().with_order("k1", Accepted(seq=7, id=an_order(do).id))
    host.context().seen.save(seen)
    try:
        carry_out(context, an_order(do))
        killed = False
    except Killed:
        killed = True
    again = host.context()
    machine.recover(again)
    finish(again)
    if killed and not told(host, an_order(do)):
        # Killed before anything was remembered: the portal sends the same order again.
        carry_out(host.context(), an_order(do))
    return killed


@pytest.mark.parametrize(("do", "running"), [("stop", None), ("restart", "1.0.0"), ("start", "1.0.0")])
def test_killed_anywhere_the_order_is_finished_without_the_portal_and_reported_once(
    host: Host, do: str, running: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    number = 0
    while True:
        one = host.copy(tmp_path_factory.mktemp("killed") / "base")
        if do == "start":
            one.processes.running = None
        killed = _after_a_kill_at(one, do, number)
        assert one.processes.running == running, f"killed at {number}"
        assert told(one, an_order(do)) == [(do, "OK", "ok", an_order(do).id)], f"killed at {number}"
        assert one.log_text().count(" ORDER ") == 1, f"killed at {number}"
        assert settled(one), f"killed at {number}"
        (accepted,) = one.context().seen.load().accepted.values()
        assert accepted.answered, f"killed at {number}"
        if not killed:
            break
        number += 1
    assert number > 20


def test_finishing_twice_is_finishing_once(host: Host) -> None:
    order = an_order("restart")
    PendingFile(host.paths, FastFs()).save(Pending(order=order, started=NOW))
    assert finish(host.context()) == Result(probed=True, measured="1.0.0")
    assert finish(host.context()) is None
    assert len(told(host, order)) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_an_order_that_cannot_be_remembered_is_not_carried_out(host: Host, number: int) -> None:
    host.processes.history.clear()
    with pytest.raises(DiskTrouble):
        carry_out(host.context(FailingFs(0, number, last=1000)), an_order("stop"))
    assert (host.processes.history, told(host, an_order("stop"))) == ([], [])


def test_a_report_that_cannot_be_stored_is_stored_by_the_next_cycle(host: Host) -> None:
    context = host.context()

    class NoOutbox(FastFs):
        def announce(self, effect: str, path: object) -> None:
            if "outbox" in str(path):
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with pytest.raises(DiskTrouble):
        carry_out(host.context(NoOutbox()), an_order("stop"))
    assert told(host, an_order("stop")) == []
    finish(context)
    assert told(host, an_order("stop")) == [("stop", "OK", "ok", an_order("stop").id)]


def test_an_order_file_that_says_nothing_is_set_aside(host: Host) -> None:
    host.paths.order.write_bytes(b"\0" * 20)
    assert finish(host.context()) is None
    assert host.paths.order.with_name("order.json.corrupt").exists()
    assert settled(host)


def test_an_order_of_a_newer_updater_is_left_to_it(host: Host) -> None:
    data = Pending(order=an_order("stop"), started=NOW).to_bytes()
    host.paths.order.write_bytes(data.replace(b'"schema":1', b'"schema":2'))
    with pytest.raises(NewerSchema):
        finish(host.context())
    assert host.paths.order.exists()


def test_what_is_remembered_of_an_order_comes_back_whole() -> None:
    pending = Pending(order=an_order("restart", message="why"), started=NOW, extra={"later": 1})
    assert Pending.from_bytes(pending.to_bytes()) == pending
