"""The outbox keeps a report until the portal has it, and no longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engineshed_client.errors import EnrolmentRefused, NotApproved, PortalUnavailable, Refused
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.reports import Outbox, Sent
from engineshed_client.reports.outbox import MAX_REFUSED
from engineshed_packages.ids import derived_id
from engineshed_packages.protocol import MAX_REPORT_BYTES, Outcome, Report
from engineshed_packages.versions import Version

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def report(number: int) -> Report:
    return Report(
        attempt=derived_id("att", str(number)),
        engine=derived_id("eng", "x"),
        product="sample-engine",
        outcome=Outcome.OK,
        code="ok",
        message="",
        from_version=Version.parse("1.0.0"),
        to_version=Version.parse("1.1.0"),
        version=Version.parse("1.1.0"),
        started=AT,
        ended=AT,
        updater_version="0.1.0",
    )


class Sink:
    """Takes reports as it is told."""

    def __init__(self, *trouble: Exception | None) -> None:
        self.taken: list[Report] = []
        self._trouble = list(trouble)

    def send_report(self, report: Report) -> None:
        trouble = self._trouble.pop(0) if self._trouble else None
        if trouble is not None:
            raise trouble
        self.taken.append(report)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(Paths(tmp_path), FsOps())


def test_a_report_arrives_as_it_was(outbox: Outbox) -> None:
    sink = Sink()
    outbox.put(report(1))
    assert outbox.send(sink) == Sent(1, 0)
    assert sink.taken == [report(1)]


def test_an_acknowledged_report_is_gone(outbox: Outbox) -> None:
    outbox.put(report(1))
    outbox.send(Sink())
    assert outbox.waiting() == 0


def test_reports_are_sent_oldest_first(outbox: Outbox) -> None:
    for number in (3, 1, 2):
        outbox.put(report(number))
    sink = Sink()
    outbox.send(sink)
    assert sink.taken == [report(3), report(1), report(2)]


def test_a_report_put_twice_is_sent_once(outbox: Outbox) -> None:
    outbox.put(report(1))
    outbox.put(replace(report(1), message="better"))
    sink = Sink()
    outbox.send(sink)
    assert [one.message for one in sink.taken] == ["better"]


@pytest.mark.parametrize(
    "trouble", [PortalUnavailable("timeout", ""), EnrolmentRefused("engine-revoked", "")]
)
def test_without_the_portal_reports_wait(outbox: Outbox, trouble: Exception) -> None:
    outbox.put(report(1))
    outbox.put(report(2))
    with pytest.raises(type(trouble)):
        outbox.send(Sink(None, trouble))
    assert outbox.waiting() == 1


def test_before_the_engine_is_approved_reports_wait_and_the_poll_goes_on(outbox: Outbox) -> None:
    outbox.put(report(1))
    outbox.put(report(2))
    assert outbox.send(Sink(NotApproved("engine-waiting", ""))) == Sent(0, 0)
    assert outbox.waiting() == 2


def test_a_report_that_is_refused_for_good_is_set_aside_and_not_tried_again(
    outbox: Outbox, tmp_path: Path
) -> None:
    outbox.put(report(1))
    outbox.put(report(2))
    sink = Sink(Refused("report-unreadable", ""))
    assert outbox.send(sink) == Sent(1, 1)
    assert (outbox.waiting(), sink.taken) == (0, [report(2)])
    assert len(list(Paths(tmp_path).outbox.glob("*.refused"))) == 1


def test_a_damaged_report_is_set_aside(outbox: Outbox, tmp_path: Path) -> None:
    outbox.put(report(1))
    next(Paths(tmp_path).outbox.iterdir()).write_bytes(b"\0\0\0")
    assert outbox.send(Sink()) == Sent(0, 1)


def test_what_was_set_aside_does_not_grow(outbox: Outbox, tmp_path: Path) -> None:
    for number in range(MAX_REFUSED + 3):
        outbox.put(report(number))
        outbox.send(Sink(Refused("report-unreadable", "")))
    assert len(list(Paths(tmp_path).outbox.iterdir())) == MAX_REFUSED


def test_a_report_too_large_loses_the_beginning_of_its_logs(outbox: Outbox, tmp_path: Path) -> None:
    lines = tuple(f"{number:03}" + "\u20ac" * 900 for number in range(200))
    outbox.put(replace(report(1), engine_log=lines, update_log=lines))
    sink = Sink()
    outbox.send(sink)
    assert len(sink.taken[0].to_bytes()) <= MAX_REPORT_BYTES
    assert sink.taken[0].update_log[-1] == lines[-1]


def test_an_empty_outbox_asks_for_nothing(outbox: Outbox) -> None:
    assert outbox.send(Sink()) == Sent(0, 0)
