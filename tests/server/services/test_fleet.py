from __future__ import annotations

import pytest
from sqlalchemy import text

from engineshed_packages.ids import derived_id
from engineshed_packages.protocol import Outcome, Report
from engineshed_packages.repository.releases import ReleaseChange
from engineshed_packages.versions import Version
from engineshed_server.db import portal as portal_rows
from engineshed_server.errors import NotAllowed, NotFound
from engineshed_server.services import access, fleet, releases
from engineshed_server.services.reports import record_report
from tests.server.portals import House, poll_of, report_of, skipped
from tests.server.statements import counted
from tests.vendor import PRODUCT


def test_an_engine_with_the_newest_is_told_so_without_any_sql(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    with counted(house.portal.database) as statements:
        answer = house.poll(engine, version="1.0.0")
    assert (answer.code, answer.order, statements) == ("up-to-date", None, [])


def test_a_poll_without_news_runs_no_sql_with_its_token_either(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    token = house.portal.access.issue(engine.engine, lifetime_s=60, now=house.now)
    with counted(house.portal.database) as statements:
        engine_id = access.verify_engine(house.portal, token, now=house.now)
        fleet.answer(
            house.portal, engine_id, poll=poll_of(engine_id, now=house.now, version="1.0.0"), now=house.now
        )
    assert statements == []


def test_the_counter_of_this_test_counts(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    with counted(house.portal.database) as statements:
        house.poll(engine)
    assert statements != []


def test_a_newer_release_is_ordered(house: House) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    order = house.order(house.enrol())
    assert order.package is not None
    found = (order.package.path, order.package.length_bytes, order.package.sha256, order.package.version)
    assert found == (target.path, target.length_bytes, target.sha256, target.version)
    assert (order.do, order.seq, order.portal) == ("install", 1, house.portal.identity.portal_id)


def test_the_answer_carries_what_the_engine_needs_to_come_back(house: House) -> None:
    house.publish("1.0.0")
    answer = house.poll(house.enrol(), version="1.0.0")
    assert (answer.poll_s, answer.server_time) == (house.portal.settings.poll_s, house.now)
    assert answer.timestamp_version == house.portal.snapshot.current().timestamp_version > 0


def test_the_poll_of_another_engine_is_refused(house: House) -> None:
    one, two = house.enrol(), house.enrol()
    with pytest.raises(NotAllowed) as caught:
        fleet.answer(house.portal, one.engine, poll=poll_of(two.engine, now=house.now), now=house.now)
    assert caught.value.code == "engine-mismatch"


def test_a_release_that_failed_on_the_engine_is_not_ordered(house: House) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    answer = house.poll(house.enrol(), skipped=skipped("1.0.0", target.sha256))
    assert (answer.code, answer.order) == ("nothing-fits", None)


def test_a_withdrawn_release_is_not_ordered_again(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    house.order(engine)
    house.vendor.change("1.0.0", ReleaseChange(withdrawn=True))
    house.ingest("1.0.0")
    assert house.poll(engine, attempt=derived_id("att", "one")).order is None


def test_an_engine_at_work_keeps_its_order_when_a_newer_release_comes(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    first = house.order(engine)
    house.publish("1.1.0")
    at_work = house.order(engine, attempt=derived_id("att", "one"), state="STAGED")
    assert at_work.id == first.id


def test_an_engine_at_work_on_a_withdrawn_release_is_handed_the_newer_one(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    first = house.order(engine)
    house.vendor.change("1.0.0", ReleaseChange(withdrawn=True))
    house.publish("1.1.0")
    at_work = house.order(engine, attempt=derived_id("att", "one"), state="STAGED")
    assert at_work.id != first.id
    assert at_work.package is not None
    assert at_work.package.version.text == "1.1.0"


def test_an_idle_engine_is_handed_the_newer_release(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    house.order(engine)
    house.publish("1.1.0")
    order = house.order(engine)
    assert order.package is not None
    assert (order.package.version.text, order.seq) == ("1.1.0", 2)


def test_explain_says_what_the_next_poll_is_answered(house: House) -> None:
    house.publish("1.0.0")
    house.publish("1.1.0")
    engine = house.enrol(version="0.9")
    decision = fleet.explain(house.portal, engine.engine, now=house.now)
    assert (decision.code, [reason.code for reason in decision.reasons]) == (
        "offer",
        ["fits", "older-than-chosen"],
    )


def test_explain_knows_the_version_of_the_last_poll(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol(version="0.9")
    house.poll(engine, version="1.0.0")
    house.portal.presence.flush(house.portal.database)
    assert fleet.explain(house.portal, engine.engine, now=house.now).code == "up-to-date"


def test_explain_knows_the_skip_list_of_the_last_poll(house: House) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    engine = house.enrol()
    house.poll(engine, skipped=skipped("1.0.0", target.sha256))
    house.portal.presence.flush(house.portal.database)
    reasons = fleet.explain(house.portal, engine.engine, now=house.now).reasons
    assert [reason.code for reason in reasons] == ["skipped"]


@pytest.mark.parametrize("outcome", [Outcome.ROLLED_BACK, Outcome.BROKEN])
def test_explain_knows_a_release_that_was_reported_to_have_failed(house: House, outcome: Outcome) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    engine = house.enrol()
    told = report_of(
        engine.engine, now=house.now, outcome=outcome, sha256=target.sha256, version=Version.parse("0.9")
    )
    assert reasons_after(house, engine.engine, told) == ["skipped"]


def test_explain_knows_a_release_that_was_taken_back_by_hand(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    told = report_of(
        engine.engine,
        now=house.now,
        kind="rollback",
        from_version=Version.parse("1.0.0"),
        to_version=Version.parse("0.9"),
        version=Version.parse("0.9"),
    )
    assert reasons_after(house, engine.engine, told) == ["skipped"]


def test_explain_believes_a_poll_that_came_after_the_report(house: House) -> None:
    target = house.vendor.release("1.0.0")
    house.ingest("1.0.0")
    engine = house.enrol()
    told = report_of(
        engine.engine,
        now=house.now,
        outcome=Outcome.ROLLED_BACK,
        sha256=target.sha256,
        version=Version.parse("0.9"),
    )
    record_report(house.portal, engine.engine, report=told, now=house.tick())
    house.tick()
    house.poll(engine)
    house.portal.presence.flush(house.portal.database)
    assert [one.code for one in fleet.explain(house.portal, engine.engine, now=house.now).reasons] == ["fits"]


def reasons_after(house: House, engine_id: str, told: Report) -> list[str]:
    """Codes of the reasons right after *told* was reported."""
    record_report(house.portal, engine_id, report=told, now=house.tick())
    return [one.code for one in fleet.explain(house.portal, engine_id, now=house.now).reasons]


def test_nobody_can_explain_an_engine_that_is_not_there(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        fleet.explain(house.portal, derived_id("eng", "nobody"), now=house.now)
    assert caught.value.code == "engine-unknown"


def test_a_release_on_hold_is_not_ordered(house: House) -> None:

    house.publish("1.0.0")
    with house.portal.database.write() as session:
        session.execute(text("UPDATE releases SET held = true"))
        portal_rows.bump_generation(session)
    house.portal.snapshot.refresh()
    assert house.poll(house.enrol()).code == "nothing-fits"
    assert releases.show_release(house.portal, PRODUCT, version="1.0.0").held
