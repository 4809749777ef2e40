"""Orders of administrators, from when they are given until they are closed."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.ids import derived_id
from engineshed_packages.orders import Order, Window
from engineshed_packages.protocol import REFUSAL, Outcome
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_server.db import audit, orders
from engineshed_server.db.orders import OrderRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import Conflict, NotFound, Refused
from engineshed_server.services import engines, fleet, reports
from engineshed_server.services.holds import HoldChange, change_hold
from engineshed_server.services.ordering import Ask, give_order, give_orders, list_group
from engineshed_server.services.stops import turn_off, turn_on
from tests.server.portals import ACTOR, House, poll_of, report_of, skipped
from tests.server.statements import counted
from tests.vendor import PRODUCT

ATTEMPT = derived_id("att", "one")
ADMIN = Actor("token:tok_x", address="192.0.2.9", request="req_1")
ALL_VERBS = ("install", "rollback", "cancel", "start", "stop", "restart", "configure")


@pytest.fixture
def engine(house: House) -> EnrolAnswer:
    """An engine with the newest release, 1.0.0, on it."""
    house.publish("1.0.0")
    joined = house.enrol(version="1.0.0")
    house.poll(joined, version="1.0.0")
    return joined


def give(
    house: House, engine: EnrolAnswer, do: str, version: str | None = None, **more: object
) -> OrderRecord:
    ask = replace(Ask(do=do, version=version), **more)  # type: ignore[arg-type]  # fields by name
    return give_order(house.portal, engine.engine, ask, actor=ADMIN, now=house.now)


def asks(house: House, engine: EnrolAnswer, **changes: object) -> Order:
    """The order in the answer to a poll of an engine with 1.0.0."""
    return house.order(engine, **{"version": "1.0.0", **changes})


def states(house: House, engine: EnrolAnswer) -> list[str]:
    with house.portal.database.read() as session:
        found = orders.list_orders(session, engine.engine, limit=10)
    return [f"{one.do} {one.state}" + (f" {one.answer}" if one.answer else "") for one in found]


def report(house: House, engine: EnrolAnswer, order: Order, **changes: object) -> None:
    values = {"order": order.id, "seq": order.seq, **changes}
    told = report_of(engine.engine, now=house.now, **values)
    reports.record_report(house.portal, engine.engine, report=told, now=house.now)
    house.portal.snapshot.refresh()


def code_of(house: House, engine: EnrolAnswer, do: str, version: str | None = None, **more: object) -> str:
    with pytest.raises((Conflict, NotFound, Refused)) as caught:
        give(house, engine, do, version, **more)
    assert isinstance(caught.value, Conflict | NotFound | Refused)
    return caught.value.code


@pytest.mark.parametrize("do", ["rollback", "cancel", "start", "stop", "restart"])
def test_an_order_is_sent_at_the_next_poll_unchanged_until_it_is_answered(
    house: House, engine: EnrolAnswer, do: str
) -> None:
    record = give(house, engine, do, message="as agreed")
    order = asks(house, engine)
    assert (order.id, order.do, order.seq, order.message, order.package) == (
        record.order_id,
        do,
        1,
        "as agreed",
        None,
    )
    house.tick(minutes=5)
    assert asks(house, engine) == order
    report(house, engine, order, kind=do)
    assert house.poll(engine, version="1.0.0").code == "up-to-date"
    assert states(house, engine) == [f"{do} answered ok"]


def test_the_answer_says_who_ordered_what(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "stop", message="the disk is full")
    answer = house.poll(engine, version="1.0.0")
    assert (answer.code, answer.text) == (
        "ordered",
        "token:tok_x ordered it to stop: the disk is full",
    )


def test_an_order_has_neither_number_nor_signature_before_the_engine_polls(
    house: House, engine: EnrolAnswer
) -> None:
    record = give(house, engine, "stop")
    assert (record.seq, record.keyid, record.envelope) == (None, None, None)


def test_the_number_counts_on_from_what_the_engine_reports_when_it_polls(
    house: House, engine: EnrolAnswer
) -> None:
    give(house, engine, "stop")
    assert asks(house, engine, seq=41).seq == 42


def test_an_open_order_that_would_be_a_replay_is_signed_anew(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "stop", message="once")
    before = asks(house, engine)
    again = asks(house, engine, seq=before.seq + 4)
    assert (again.do, again.message, again.seq, again.id == before.id) == (
        "stop",
        "once",
        before.seq + 5,
        False,
    )
    assert states(house, engine) == ["stop open", "stop superseded signed-anew"]


def test_an_engine_that_accepted_the_order_and_was_killed_is_sent_it_again(
    house: House, engine: EnrolAnswer
) -> None:
    give(house, engine, "restart")
    order = asks(house, engine)
    assert asks(house, engine, seq=order.seq) == order


def test_polls_of_other_engines_run_no_sql_while_an_order_is_open(house: House, engine: EnrolAnswer) -> None:
    other = house.enrol(version="1.0.0")
    give(house, engine, "stop")
    with counted(house.portal.database) as statements:
        house.poll(other, version="1.0.0")
    assert statements == []


def test_once_the_order_is_answered_the_engines_polls_run_no_sql_again(
    house: House, engine: EnrolAnswer
) -> None:
    give(house, engine, "stop")
    report(house, engine, asks(house, engine), kind="stop")
    with counted(house.portal.database) as statements:
        house.poll(engine, version="1.0.0")
    assert statements == []


def test_a_process_that_has_not_heard_of_the_order_does_not_offer_anything_beside_it(
    house: House, engine: EnrolAnswer
) -> None:
    late = house.reopen()
    give(house, engine, "stop")
    poll = poll_of(engine.engine, now=house.now, version="0.9")
    answer = fleet.answer(late.portal, engine.engine, poll=poll, now=house.now)
    late.portal.close()
    assert answer.code == "ordered"
    assert states(house, engine) == ["stop open"]


# superseding


def test_an_order_supersedes_an_automatic_one(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    house.order(engine)
    give(house, engine, "stop")
    assert house.order(engine).do == "stop"
    assert states(house, engine) == ["stop open", "install superseded superseded"]


def test_an_order_supersedes_an_older_order(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "stop")
    asks(house, engine)
    house.tick()
    give(house, engine, "start")
    assert asks(house, engine).do == "start"
    assert states(house, engine) == ["start open", "stop superseded superseded"]


def test_a_new_release_never_supersedes_an_order(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "stop")
    house.publish("1.1.0")
    assert asks(house, engine).do == "stop"
    assert states(house, engine) == ["stop open"]


def test_after_the_answer_what_is_new_is_offered_again(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "stop")
    house.publish("1.1.0")
    report(house, engine, asks(house, engine), kind="stop")
    assert asks(house, engine).do == "install"


def test_a_cancel_reaches_the_engine_at_its_gate(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    house.order(engine)
    give(house, engine, "cancel", message="not today")
    order = house.order(engine, attempt=ATTEMPT, state="STAGED")
    assert (order.do, order.message) == ("cancel", "not today")


def test_of_two_orders_given_at_once_one_is_open(house: House, engine: EnrolAnswer) -> None:
    houses = [house.reopen() for _ in range(4)]
    barrier = threading.Barrier(len(houses))
    failures: list[Exception] = []

    def run(one: House) -> None:
        barrier.wait()
        try:
            give(one, engine, "restart")
        except Exception as err:
            failures.append(err)

    threads = [threading.Thread(target=run, args=(one,)) for one in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in houses:
        one.portal.close()
    assert failures == []
    assert sorted(states(house, engine)) == ["restart open", *["restart superseded superseded"] * 3]


def test_two_processes_asked_at_once_sign_one_envelope(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "restart")
    houses = [house.reopen() for _ in range(4)]
    barrier = threading.Barrier(len(houses))
    envelopes: list[object] = []

    def run(one: House) -> None:
        barrier.wait()
        envelopes.append(one.poll(engine, version="1.0.0").order)

    threads = [threading.Thread(target=run, args=(one,)) for one in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in houses:
        one.portal.close()
    assert len(envelopes) == 4
    assert all(envelope == envelopes[0] for envelope in envelopes)
    assert envelopes[0] is not None


# install


def test_an_install_names_the_package_and_what_was_allowed(house: House, engine: EnrolAnswer) -> None:
    house.publish("0.9.5")
    window = Window(opens=house.now + timedelta(days=9), closes=house.now + timedelta(days=10))
    give(
        house,
        engine,
        "install",
        "0.9.5",
        allow_downgrade=True,
        offline_start=True,
        window=window,
        start_before=window.closes,
    )
    order = asks(house, engine)
    assert order.package is not None
    assert (order.do, order.package.version.text, order.allow_downgrade, order.offline_start) == (
        "install",
        "0.9.5",
        True,
        True,
    )
    assert (order.window, order.start_before, order.retry) == (window, window.closes, False)
    assert order.accept_before == window.closes


def test_a_release_that_is_not_offered_by_itself_can_be_ordered(house: House, engine: EnrolAnswer) -> None:
    house.vendor.release("1.1.0", terms=ReleaseTerms(mode="manual"))
    house.ingest("1.1.0")
    assert house.poll(engine, version="1.0.0").order is None
    give(house, engine, "install", "1.1.0")
    assert asks(house, engine).do == "install"


@pytest.mark.parametrize(
    ("do", "version", "code"),
    [
        ("install", "1.0.0", "not-newer"),
        ("install", "0.9.5", "not-newer"),
        ("install", "7.0", "release-unknown"),
        ("install", "one", "version-unreadable"),
        ("install", None, "order-senseless"),
        ("retry", None, "nothing-to-retry"),
        ("stop", "1.0.0", "order-senseless"),
        ("dance", None, "order-senseless"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_ordered(
    house: House, engine: EnrolAnswer, do: str, version: str | None, code: str
) -> None:
    house.publish("0.9.5")
    assert code_of(house, engine, do, version) == code
    assert states(house, engine) == []


def test_a_refused_order_leaves_the_open_one(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "stop")
    code_of(house, engine, "install", "7.0")
    assert states(house, engine) == ["stop open"]


def test_a_withdrawn_release_is_refused(house: House, engine: EnrolAnswer) -> None:
    house.publish("1.1.0")
    house.vendor.change("1.1.0", ReleaseChange(withdrawn=True))
    house.ingest("1.1.0")
    assert code_of(house, engine, "install", "1.1.0") == "withdrawn"


def test_a_release_on_hold_needs_to_be_let_go_or_ordered_although_held(
    house: House, engine: EnrolAnswer
) -> None:
    house.publish("1.1.0")
    change_hold(
        house.portal,
        PRODUCT,
        version="1.1.0",
        change=HoldChange(held=True, reason="shaky"),
        actor=ACTOR,
        now=house.now,
    )
    assert code_of(house, engine, "install", "1.1.0") == "held"
    give(house, engine, "install", "1.1.0", although_held=True)
    assert asks(house, engine).do == "install"


def test_a_hold_after_the_order_keeps_it_back_until_the_release_is_let_go(
    house: House, engine: EnrolAnswer
) -> None:
    house.publish("1.1.0")
    give(house, engine, "install", "1.1.0")
    order = asks(house, engine)
    change_hold(
        house.portal,
        PRODUCT,
        version="1.1.0",
        change=HoldChange(held=True, reason="shaky"),
        actor=ACTOR,
        now=house.now,
    )
    answer = house.poll(engine, version="1.0.0", attempt=ATTEMPT, state="STAGED")
    assert (answer.code, answer.order, "shaky" in answer.text) == ("order-waits", None, True)
    change_hold(
        house.portal,
        PRODUCT,
        version="1.1.0",
        change=HoldChange(held=False, reason="firm"),
        actor=ACTOR,
        now=house.now,
    )
    assert asks(house, engine) == order


def test_an_emergency_stop_keeps_an_install_back_and_lets_a_stop_through(
    house: House, engine: EnrolAnswer
) -> None:
    house.publish("1.1.0")
    give(house, engine, "install", "1.1.0")
    turn_on(house.portal, product=None, channel=None, reason="it burns", actor=ACTOR, now=house.now)
    assert house.poll(engine, version="1.0.0").code == "emergency-stop"
    give(house, engine, "stop")
    assert asks(house, engine).do == "stop"
    turn_off(house.portal, product=None, channel=None, reason="out", actor=ACTOR, now=house.now)


def test_a_retry_is_an_install_that_says_so(house: House, engine: EnrolAnswer) -> None:
    target = house.vendor.release("1.1.0")
    house.ingest("1.1.0")
    house.poll(engine, version="1.0.0", skipped=skipped("1.1.0", target.sha256))
    house.portal.presence.flush(house.portal.database)
    assert code_of(house, engine, "install", "1.1.0") == "skipped"
    give(house, engine, "retry")
    order = asks(house, engine, skipped=skipped("1.1.0", target.sha256))
    assert order.package is not None
    assert (order.do, order.retry, order.package.sha256) == ("install", True, target.sha256)


def test_an_ordered_downgrade_is_not_undone_by_itself(house: House, engine: EnrolAnswer) -> None:
    """The engine puts what it left on its skip list; until its next poll the portal knows by the report."""
    house.publish("0.9.5")
    give(house, engine, "install", "0.9.5", allow_downgrade=True)
    order = asks(house, engine)
    house.tick()
    report(
        house,
        engine,
        order,
        from_version=order.package and poll_of(engine.engine, now=house.now, version="1.0.0").version,
        to_version=order.package and order.package.version,
        version=order.package and order.package.version,
        sha256=order.package and order.package.sha256,
    )
    decision = fleet.explain(house.portal, engine.engine, now=house.now)
    assert (decision.code, [one.code for one in decision.reasons]) == (
        "nothing-fits",
        ["skipped", "not-newer"],
    )


def test_a_rollback_may_name_the_kept_version(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "rollback", "0.9")
    order = asks(house, engine)
    assert order.returns_to is not None
    assert (order.package, order.returns_to.text) == (None, "0.9")


# whom, and what becomes of it


def test_an_unknown_or_revoked_engine_gets_no_order(house: House, engine: EnrolAnswer) -> None:
    with pytest.raises(NotFound):
        give_order(house.portal, "eng_nobody", Ask(do="stop"), actor=ADMIN, now=house.now)
    engines.revoke_engine(house.portal, engine.engine, actor=ACTOR, now=house.now)
    assert code_of(house, engine, "stop") == "engine-revoked"


def test_what_an_updater_cannot_do_is_refused_with_what_it_can(house: House, engine: EnrolAnswer) -> None:
    house.poll(engine, version="1.0.0", capabilities=("install", "stop"))
    house.poll(engine, version="1.0.0")  # told once, remembered
    house.portal.presence.flush(house.portal.database)
    with pytest.raises(Conflict) as caught:
        give(house, engine, "rollback")
    assert (caught.value.code, "it can install, stop" in caught.value.message) == ("engine-cannot", True)
    give(house, engine, "stop")


def test_an_order_given_before_the_updater_said_what_it_can_is_closed_when_it_cannot(
    house: House, engine: EnrolAnswer
) -> None:
    give(house, engine, "rollback")
    answer = house.poll(engine, version="1.0.0", capabilities=("install",))
    assert answer.order is None
    assert states(house, engine) == ["rollback refused engine-cannot"]


def test_an_order_nobody_took_in_time_expires_and_what_is_new_is_offered(
    house: House, engine: EnrolAnswer
) -> None:
    give(house, engine, "stop", accept_within_s=3600)
    house.publish("1.1.0")
    house.now += timedelta(hours=1)
    assert asks(house, engine).do == "install"
    assert states(house, engine) == ["install open", "stop expired expired"]


def test_a_refusal_closes_the_order_with_its_code(house: House, engine: EnrolAnswer) -> None:
    give(house, engine, "rollback")
    report(
        house,
        engine,
        asks(house, engine),
        kind=REFUSAL,
        outcome=Outcome.ABORTED,
        code="no-previous",
        version=None,
    )
    assert states(house, engine) == ["rollback refused no-previous"]


def test_an_order_is_explained_before_what_would_be_offered(house: House, engine: EnrolAnswer) -> None:
    house.publish("1.1.0")
    give(house, engine, "stop", message="enough")
    decision = fleet.explain(house.portal, engine.engine, now=house.now)
    assert decision.text == "token:tok_x ordered it to stop: enough"
    assert [one.code for one in decision.reasons] == ["ordered", "fits", "not-newer"]
    house.now += timedelta(days=8)
    assert fleet.explain(house.portal, engine.engine, now=house.now).code == "offer"


def test_an_order_leaves_who_what_and_what_it_superseded_in_the_audit(
    house: House, engine: EnrolAnswer
) -> None:
    first = give(house, engine, "stop")
    second = give(house, engine, "rollback", "0.9", message="back")
    with house.portal.database.read() as session:
        rows = [row for row in audit.list_audit(session) if row.action.startswith("order-")]
    assert [row.action for row in rows] == ["order-given", "order-superseded", "order-given"]
    assert {row.actor for row in rows} == {ADMIN}
    assert [row.subject for row in rows] == [first.order_id, first.order_id, second.order_id]
    assert json.loads(rows[2].details) == {
        "although_held": False,
        "do": "rollback",
        "engine": engine.engine,
        "message": "back",
        "version": "0.9",
    }
    assert (json.loads(rows[2].before or ""), json.loads(rows[2].after or "")) == (
        {"open_order": first.order_id},
        {"open_order": second.order_id},
    )
    asks(house, engine)
    assert house.audited()[-1] == "order-issued"


@pytest.mark.parametrize(
    "more",
    [
        {"accept_within_s": 59},
        {"accept_within_s": 367 * 86400},
        {"offline_start": True},
        {"although_held": True},
    ],
)
def test_an_order_that_makes_no_sense_for_any_engine_is_refused(
    house: House, engine: EnrolAnswer, more: dict[str, object]
) -> None:
    assert code_of(house, engine, "stop", None, **more) == "order-senseless"


def test_a_window_that_is_over_is_refused(house: House, engine: EnrolAnswer) -> None:
    over = Window(opens=house.now - timedelta(hours=2), closes=house.now)
    assert code_of(house, engine, "stop", window=over) == "order-senseless"
    assert code_of(house, engine, "stop", start_before=house.now) == "order-senseless"


def test_several_engines_get_an_order_and_one_that_cannot_does_not_keep_it_from_the_others(
    house: House, engine: EnrolAnswer
) -> None:
    other, gone = house.enrol(version="1.0.0"), house.enrol(version="1.0.0")
    engines.revoke_engine(house.portal, gone.engine, actor=ACTOR, now=house.now)
    ids = [engine.engine, gone.engine, other.engine, engine.engine]
    answered = give_orders(house.portal, ids, Ask(do="restart"), actor=ADMIN, now=house.now)
    told = {one.engine_id: one.refusal and one.refusal.code for one in answered}
    assert told == {engine.engine: None, gone.engine: "engine-revoked", other.engine: None}
    assert {asks(house, one).do for one in (engine, other)} == {"restart"}


def test_a_group_is_its_enrolled_engines(house: House, engine: EnrolAnswer) -> None:
    gone = house.enrol()
    engines.revoke_engine(house.portal, gone.engine, actor=ACTOR, now=house.now)
    assert list_group(house.portal, "default") == (engine.engine,)
    with pytest.raises(NotFound) as caught:
        list_group(house.portal, "berlin")
    assert caught.value.code == "group-unknown"
