from __future__ import annotations

from datetime import timedelta

import pytest

from engineshed_packages.ids import derived_id
from engineshed_packages.protocol import Outcome, Step
from engineshed_packages.versions import Version
from engineshed_server.db import reports
from engineshed_server.errors import NotAllowed, TryLater
from engineshed_server.services import engines
from engineshed_server.services.reports import KEPT_LOGS, MAX_PER_HOUR, record_report
from tests.server.portals import House, report_of


def test_the_first_report_of_an_attempt_is_recorded_and_the_second_is_known(house: House) -> None:
    engine = house.enrol()
    report = report_of(engine.engine, now=house.now)
    codes = [record_report(house.portal, engine.engine, report=report, now=house.now).code for _ in range(2)]
    assert codes == ["recorded", "known"]
    assert len(engines.show_engine(house.portal, engine.engine).attempts) == 1


def test_a_report_tells_the_version_the_engine_runs(house: House) -> None:
    engine = house.enrol(version="0.9")
    record_report(house.portal, engine.engine, report=report_of(engine.engine, now=house.now), now=house.now)
    assert engines.show_engine(house.portal, engine.engine).line.version == "1.0.0"


def state_of(house: House, engine: str) -> str | None:
    house.portal.presence.flush(house.portal.database)
    return engines.show_engine(house.portal, engine).line.updater_state


def test_an_engine_is_idle_as_soon_as_it_has_reported(house: House) -> None:
    engine = house.enrol()
    house.poll(engine, state="STAGED", attempt=derived_id("att", "one"))
    assert state_of(house, engine.engine) == "STAGED"
    report = report_of(engine.engine, now=house.now)
    record_report(house.portal, engine.engine, report=report, now=house.tick())
    assert state_of(house, engine.engine) == "IDLE"


def test_a_poll_before_the_report_that_is_written_later_does_not_turn_the_state_back(house: House) -> None:
    engine = house.enrol()
    house.poll(engine, state="STAGED")  # waits in memory
    report = report_of(engine.engine, now=house.now)
    record_report(house.portal, engine.engine, report=report, now=house.tick())
    assert state_of(house, engine.engine) == "IDLE"


def test_the_poll_after_the_report_tells_the_state_again(house: House) -> None:
    engine = house.enrol()
    report = report_of(engine.engine, now=house.now)
    record_report(house.portal, engine.engine, report=report, now=house.tick())
    house.tick()
    house.poll(engine, state="DOWNLOADING", version="1.0.0")
    assert state_of(house, engine.engine) == "DOWNLOADING"


def test_a_report_that_is_known_does_not_end_the_attempt_after_it(house: House) -> None:
    engine = house.enrol()
    report = report_of(engine.engine, now=house.now)
    record_report(house.portal, engine.engine, report=report, now=house.tick())
    house.tick()
    house.poll(engine, state="DOWNLOADING")
    record_report(house.portal, engine.engine, report=report, now=house.tick())
    assert state_of(house, engine.engine) == "DOWNLOADING"


def test_a_report_that_comes_again_late_does_not_turn_the_version_back(house: House) -> None:
    engine = house.enrol()
    first = report_of(engine.engine, now=house.now)
    second = report_of(engine.engine, now=house.now, version=Version.parse("1.1.0"))
    for report in (first, second, first):
        record_report(house.portal, engine.engine, report=report, now=house.tick())
    assert engines.show_engine(house.portal, engine.engine).line.version == "1.1.0"


def test_a_report_answers_its_order(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    order = house.order(engine)
    report = report_of(engine.engine, now=house.now, order=order.id)
    record_report(house.portal, engine.engine, report=report, now=house.now)
    shown = engines.show_engine(house.portal, engine.engine).orders[0]
    assert (shown.order, shown.state, shown.answer) == (order.id, "answered", "ok")


def test_an_order_that_was_not_accepted_is_refused_with_its_code(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    order = house.order(engine)
    report = report_of(
        engine.engine, now=house.now, order=order.id, outcome=Outcome.ABORTED, code="order-below-floor"
    )
    record_report(house.portal, engine.engine, report=report, now=house.now)
    shown = engines.show_engine(house.portal, engine.engine).orders[0]
    assert (shown.state, shown.answer) == ("refused", "order-below-floor")


def test_a_report_of_the_kind_refusal_refuses_its_order_whatever_its_code(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    report = report_of(
        engine.engine,
        now=house.now,
        kind="refusal",
        order=house.order(engine).id,
        outcome=Outcome.ABORTED,
        code="metadata-signature",
        version=Version.parse("0.9"),
    )
    record_report(house.portal, engine.engine, report=report, now=house.now)
    shown = engines.show_engine(house.portal, engine.engine).orders[0]
    assert (shown.state, shown.answer) == ("refused", "metadata-signature")
    assert house.poll(engine).code == "order-rests"


def test_an_engine_cannot_answer_another_engines_order(house: House) -> None:
    house.publish("1.0.0")
    one, two = house.enrol(), house.enrol()
    order = house.order(one)
    report = report_of(two.engine, now=house.now, order=order.id)
    record_report(house.portal, two.engine, report=report, now=house.now)
    assert engines.show_engine(house.portal, one.engine).orders[0].state == "open"


def test_a_report_in_another_engines_name_is_refused(house: House) -> None:
    one, two = house.enrol(), house.enrol()
    with pytest.raises(NotAllowed) as caught:
        record_report(house.portal, one.engine, report=report_of(two.engine, now=house.now), now=house.now)
    assert caught.value.code == "engine-mismatch"


def test_two_engines_may_draw_the_same_attempt_id(house: House) -> None:
    one, two = house.enrol(), house.enrol()
    report = report_of(one.engine, now=house.now)
    same = report_of(two.engine, now=house.now, attempt=report.attempt)
    codes = [
        record_report(house.portal, engine, report=told, now=house.now).code
        for engine, told in ((one.engine, report), (two.engine, same))
    ]
    assert codes == ["recorded", "recorded"]


def test_the_largest_report_is_kept_whole(house: House) -> None:
    engine = house.enrol()
    lines = tuple(f"{number} " + "\\x1b" * 240 for number in range(200))
    report = report_of(
        engine.engine,
        now=house.now,
        outcome=Outcome.ROLLED_BACK,
        code="probe-failed",
        message="x" * 2000,
        update_log=lines,
        engine_log=lines,
        steps=(Step(state="PROBING", at=house.now),) * 64,
    )
    record_report(house.portal, engine.engine, report=report, now=house.now)
    shown = engines.show_engine(house.portal, engine.engine).attempts[0]
    assert (shown.update_log, shown.engine_log, shown.message) == (lines, lines, "x" * 2000)


def report_times(house: House, engine: str, times: int, *, apart: timedelta) -> None:
    for number in range(times):
        house.now += apart
        lines = (f"line of {number}",)
        report = report_of(engine, now=house.now, update_log=lines, engine_log=lines, message=f"{number}")
        record_report(house.portal, engine, report=report, now=house.now)


def test_one_engine_cannot_fill_the_disk_with_reports(house: House) -> None:
    one, two = house.enrol(), house.enrol()
    report_times(house, one.engine, MAX_PER_HOUR, apart=timedelta(seconds=1))
    with pytest.raises(TryLater) as caught:
        report_times(house, one.engine, 1, apart=timedelta(seconds=1))
    assert (caught.value.code, caught.value.retry_after_s > 0) == ("reports-too-many", True)
    report_times(house, two.engine, 1, apart=timedelta(0))
    report_times(house, one.engine, 1, apart=timedelta(hours=1))


def test_a_report_that_is_known_is_acknowledged_however_many_there_were(house: House) -> None:
    engine = house.enrol().engine
    report = report_of(engine, now=house.now)
    record_report(house.portal, engine, report=report, now=house.now)
    report_times(house, engine, MAX_PER_HOUR - 1, apart=timedelta(seconds=1))
    assert record_report(house.portal, engine, report=report, now=house.now).code == "known"


def test_only_the_last_attempts_keep_their_log_lines(house: House) -> None:
    one, two = house.enrol(), house.enrol()
    report_times(house, two.engine, 1, apart=timedelta(0))
    report_times(house, one.engine, KEPT_LOGS + 3, apart=timedelta(minutes=2))
    with house.portal.database.read() as session:
        kept = reports.list_reports(session, one.engine, limit=100)
        other = reports.list_reports(session, two.engine, limit=100)
    with_lines = [bool(record.update_log and record.engine_log) for record in kept]
    assert with_lines == [True] * KEPT_LOGS + [False] * 3
    assert [record.message for record in kept] == [str(number) for number in reversed(range(KEPT_LOGS + 3))]
    assert other[0].update_log == ("line of 0",)


def test_a_report_leaves_a_row_in_the_audit(house: House) -> None:
    engine = house.enrol()
    record_report(house.portal, engine.engine, report=report_of(engine.engine, now=house.now), now=house.now)
    assert house.audited()[-1] == "attempt-ended"
