"""Emergency stops and holds: what engines are sent, and what the audit says."""

from __future__ import annotations

import json
import threading

import pytest

from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.ids import derived_id
from engineshed_server.db import audit
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services import engines, fleet
from engineshed_server.services.holds import HoldChange, change_hold
from engineshed_server.services.readiness import check_readiness
from engineshed_server.services.stops import StopChanged, list_stops, turn_off, turn_on
from tests.server.portals import ACTOR, House, poll_of
from tests.server.statements import counted
from tests.vendor import PRODUCT

ATTEMPT = derived_id("att", "one")
ADMIN = Actor("token:tok_x", address="192.0.2.9", request="req_1")


@pytest.fixture
def engine(house: House) -> EnrolAnswer:
    """An engine for which 1.0.0 is news."""
    house.publish("1.0.0")
    return house.enrol()


def stop(
    house: House, *, product: str | None = None, channel: str | None = None, reason: str = "it burns"
) -> StopChanged:
    return turn_on(house.portal, product=product, channel=channel, reason=reason, actor=ADMIN, now=house.now)


def end(house: House, *, product: str | None = None, channel: str | None = None) -> StopChanged:
    return turn_off(
        house.portal, product=product, channel=channel, reason="it is out", actor=ADMIN, now=house.now
    )


def last_audit(house: House) -> audit.AuditRecord:
    with house.portal.database.read() as session:
        return audit.list_audit(session)[-1]


def test_under_a_stop_no_order_is_sent_and_the_answer_says_why(house: House, engine: EnrolAnswer) -> None:
    stop(house)
    answer = house.poll(engine)
    assert (answer.code, answer.order, "it burns" in answer.text) == ("emergency-stop", None, True)


def test_under_a_stop_a_poll_runs_no_sql(house: House, engine: EnrolAnswer) -> None:
    stop(house)
    with counted(house.portal.database) as statements:
        house.poll(engine)
    assert statements == []


def test_an_engine_that_has_accepted_is_not_handed_its_order_again(house: House, engine: EnrolAnswer) -> None:
    house.order(engine)
    stop(house, product=PRODUCT)
    assert house.poll(engine, attempt=ATTEMPT, state="STAGED").order is None


def test_after_the_stop_the_same_order_is_sent_again(house: House, engine: EnrolAnswer) -> None:
    before = house.order(engine)
    stop(house)
    end(house)
    assert house.order(engine) == before


@pytest.mark.parametrize(
    ("product", "channel", "sent"),
    [("another", None, True), (None, "beta", True), (PRODUCT, "beta", True), (PRODUCT, "stable", False)],
)
def test_only_what_is_named_is_stopped(
    house: House, engine: EnrolAnswer, product: str | None, channel: str | None, sent: bool
) -> None:
    stop(house, product=product, channel=channel)
    assert (house.poll(engine).order is not None) == sent


def test_a_stop_is_in_force_in_other_processes_when_they_look(house: House, engine: EnrolAnswer) -> None:
    other = house.reopen()
    stop(house)
    assert other.portal.snapshot.refresh()
    poll = poll_of(engine.engine, now=house.now)
    assert fleet.answer(other.portal, engine.engine, poll=poll, now=house.now).order is None
    other.portal.close()


def test_explain_tells_of_the_stop(house: House, engine: EnrolAnswer) -> None:
    stop(house)
    decision = fleet.explain(house.portal, engine.engine, now=house.now)
    assert (decision.code, [one.code for one in decision.reasons]) == ("emergency-stop", ["emergency-stop"])


def test_readiness_tells_what_is_stopped_and_not_why(house: House) -> None:
    stop(house, product=PRODUCT)
    (check,) = (one for one in check_readiness(house.portal, now=house.now) if one.name == "emergency-stops")
    assert (check.good, check.text) == (True, f"on for {PRODUCT}")


def test_a_stop_leaves_who_from_where_what_and_why_in_the_audit(house: House) -> None:
    stop(house, product=PRODUCT, channel="beta")
    record = last_audit(house)
    assert (record.action, record.actor, record.subject) == (
        "emergency-stop-on",
        ADMIN,
        f"channel beta of {PRODUCT}",
    )
    assert json.loads(record.details) == {"product": PRODUCT, "channel": "beta", "reason": "it burns"}
    assert (record.before, record.after) == ('{"on": false}', '{"on": true}')
    end(house, product=PRODUCT, channel="beta")
    assert (last_audit(house).action, last_audit(house).after) == ("emergency-stop-off", '{"on": false}')


def test_turning_a_stop_on_twice_keeps_the_first_reason(house: House) -> None:
    stop(house, reason="first")
    again = stop(house, reason="second")
    assert (again.changed, again.record.stop.reason) == (False, "first")
    assert house.audited().count("emergency-stop-on") == 1


def test_turning_a_stop_on_tells_how_many_engines_it_covers(house: House) -> None:
    revoked = house.enrol()
    house.enrol()
    engines.revoke_engine(house.portal, revoked.engine, actor=ACTOR, now=house.now)
    assert [stop(house).engines, stop(house, product="misspelt").engines] == [1, 0]


def test_a_stop_ends_only_by_the_scope_it_was_given_and_the_others_are_named(house: House) -> None:
    stop(house, product=PRODUCT)
    with pytest.raises(NotFound) as caught:
        end(house)
    assert (caught.value.code, PRODUCT in caught.value.message) == ("stop-unknown", True)
    stop(house)
    assert [one.stop.product for one in end(house).others] == [PRODUCT]
    assert [one.stop.product for one in list_stops(house.portal)] == [PRODUCT]


def test_a_stop_may_begin_again_after_its_end(house: House, engine: EnrolAnswer) -> None:
    stop(house)
    end(house)
    assert stop(house, reason="again").changed
    assert house.poll(engine).order is None


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "two\nlines", "red \x1b[31m"])
def test_a_reason_that_says_nothing_or_drives_a_terminal_is_refused(house: House, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        stop(house, reason=reason)
    assert (caught.value.code, list_stops(house.portal)) == ("reason-unreadable", ())


@pytest.mark.parametrize(("product", "channel"), [("Not A Product", None), (None, "not/a channel")])
def test_a_scope_that_can_name_nothing_is_refused(
    house: House, product: str | None, channel: str | None
) -> None:
    with pytest.raises(Refused):
        stop(house, product=product, channel=channel)


def test_of_several_that_stop_at_once_one_does(house: House) -> None:
    houses = [house.reopen() for _ in range(4)]
    barrier = threading.Barrier(len(houses))
    changed: list[bool] = []

    def run(one: House) -> None:
        barrier.wait()
        changed.append(stop(one).changed)

    threads = [threading.Thread(target=run, args=(one,)) for one in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in houses:
        one.portal.close()
    assert sorted(changed) == [False, False, False, True]
    assert len(list_stops(house.portal)) == 1


def hold(house: House, version: str = "1.0.0") -> bool:
    return change_hold(
        house.portal,
        PRODUCT,
        version=version,
        change=HoldChange(held=True, reason="fails in Lyon"),
        actor=ADMIN,
        now=house.now,
    )


def test_a_release_on_hold_is_not_sent_any_more_and_the_answer_says_why(
    house: House, engine: EnrolAnswer
) -> None:
    house.order(engine)
    assert hold(house)
    answer = house.poll(engine, attempt=ATTEMPT, state="STAGED")
    assert (answer.code, answer.order, "fails in Lyon" in answer.text) == ("nothing-fits", None, True)


def test_a_release_let_go_is_sent_again(house: House, engine: EnrolAnswer) -> None:
    before = house.order(engine)
    hold(house)
    change_hold(
        house.portal,
        PRODUCT,
        version="1.0",
        change=HoldChange(held=False, reason="mended"),
        actor=ADMIN,
        now=house.now,
    )
    assert house.order(engine) == before


def test_a_hold_leaves_what_was_and_is_in_the_audit(house: House, engine: EnrolAnswer) -> None:
    hold(house)
    record = last_audit(house)
    assert (record.action, record.subject, record.actor) == ("release-held", f"{PRODUCT} 1.0.0", ADMIN)
    assert json.loads(record.before or "") == {"held": False, "hold_reason": None}
    assert json.loads(record.after or "") == {"held": True, "hold_reason": "fails in Lyon"}


def test_holding_twice_changes_nothing(house: House, engine: EnrolAnswer) -> None:
    assert [hold(house), hold(house)] == [True, False]
    assert house.audited().count("release-held") == 1


def test_an_unknown_release_cannot_be_held(house: House, engine: EnrolAnswer) -> None:
    with pytest.raises(NotFound):
        hold(house, "9.9")
