from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from engineshed_packages.errors import OrderRefused
from engineshed_packages.ids import derived_id
from engineshed_packages.jsontext import MAX_INTEGER
from engineshed_packages.orders import verify_order
from engineshed_packages.protocol import Outcome
from engineshed_server.db import orders
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import Conflict, NotAuthenticated, Refused
from engineshed_server.services import engines, fleet, reports
from engineshed_server.services.orders import ACCEPT_WITHIN, MAX_SEQ_AHEAD, REFUSED_RESTS_FOR, claim_order
from tests.server.portals import House, envelope_of, poll_of, report_of

ATTEMPT = derived_id("att", "one")


@pytest.fixture
def offering(house: House) -> House:
    house.publish("1.0.0")
    return house


def states(house: House, engine_id: str) -> list[tuple[int | None, str]]:
    with house.portal.database.read() as session:
        return [(one.seq, one.state) for one in orders.list_orders(session, engine_id, limit=10)]


def refuse(house: House, engine_id: str, order_id: str) -> None:
    report = report_of(
        engine_id, now=house.now, order=order_id, outcome=Outcome.ABORTED, code="order-expired", version=None
    )
    reports.record_report(house.portal, engine_id, report=report, now=house.now)


def test_an_order_is_sent_unchanged_at_each_poll(offering: House) -> None:
    engine = offering.enrol()
    first = envelope_of(offering.poll(engine))
    offering.tick(minutes=5)
    assert envelope_of(offering.poll(engine)) == first


def test_seq_is_higher_than_what_the_engine_reported(offering: House) -> None:
    assert offering.order(offering.enrol(), seq=41).seq == 42


def test_seq_is_higher_than_what_is_stored(offering: House) -> None:
    engine = offering.enrol()
    offering.order(engine, seq=41)
    offering.publish("1.1.0")
    assert offering.order(engine, seq=0).seq == 43


@pytest.mark.parametrize("reported", [MAX_SEQ_AHEAD + 1, MAX_INTEGER])
def test_a_seq_far_above_the_stored_one_makes_no_order_and_does_no_lasting_harm(
    offering: House, reported: int
) -> None:
    engine = offering.enrol()
    with pytest.raises(Refused) as caught:
        offering.poll(engine, seq=reported)
    assert (caught.value.code, states(offering, engine.engine)) == ("seq-implausible", [])
    assert offering.order(engine, seq=0).seq == 1


def test_a_database_restored_from_a_backup_goes_on_above_what_the_engine_reports(offering: House) -> None:
    assert offering.order(offering.enrol(), seq=MAX_SEQ_AHEAD).seq == MAX_SEQ_AHEAD + 1


def test_no_seq_is_signed_that_no_engine_could_read(offering: House) -> None:
    engine = offering.enrol()
    order = offering.order(engine)
    with offering.portal.database.write() as session:
        session.execute(text("UPDATE orders SET seq = :seq"), {"seq": MAX_INTEGER})
    offering.publish("1.1.0")
    with pytest.raises(Refused) as caught:
        offering.poll(engine, seq=order.seq)
    assert caught.value.code == "seq-implausible"


def test_a_new_order_supersedes_the_open_one(offering: House) -> None:
    engine = offering.enrol()
    offering.order(engine)
    offering.publish("1.1.0")
    offering.order(engine)
    assert states(offering, engine.engine) == [(2, "open"), (1, "superseded")]


def test_an_order_whose_time_has_passed_is_made_anew(offering: House) -> None:
    engine = offering.enrol()
    first = offering.order(engine)
    offering.now += ACCEPT_WITHIN
    again = offering.order(engine)
    assert (again.seq, again.accept_before) == (first.seq + 1, offering.now + ACCEPT_WITHIN)


def test_an_engine_at_work_gets_the_same_order_after_its_time(offering: House) -> None:
    engine = offering.enrol()
    first = offering.order(engine)
    offering.now += ACCEPT_WITHIN
    assert offering.order(engine, attempt=ATTEMPT).id == first.id


def test_a_refused_order_is_not_made_anew_for_an_hour(offering: House) -> None:
    engine = offering.enrol()
    refuse(offering, engine.engine, offering.order(engine).id)
    offering.now += REFUSED_RESTS_FOR - timedelta(seconds=1)
    answer = offering.poll(engine)
    assert (answer.code, answer.order) == ("order-rests", None)
    assert "order-expired" in answer.text


def test_after_the_hour_a_refused_order_is_made_anew(offering: House) -> None:
    engine = offering.enrol()
    refuse(offering, engine.engine, offering.order(engine).id)
    offering.now += REFUSED_RESTS_FOR
    assert offering.order(engine).seq == 2


def test_another_release_does_not_rest_with_the_refused_one(offering: House) -> None:
    engine = offering.enrol()
    refuse(offering, engine.engine, offering.order(engine).id)
    offering.publish("1.1.0")
    assert offering.order(engine).seq == 2


def test_two_processes_asked_at_once_make_one_order(offering: House) -> None:
    engine = offering.enrol()
    houses = [offering.reopen() for _ in range(4)]
    barrier = threading.Barrier(len(houses))
    envelopes: list[object] = []

    def ask(house: House) -> None:
        barrier.wait()
        envelopes.append(envelope_of(house.poll(engine)))

    threads = [threading.Thread(target=ask, args=(house,)) for house in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for house in houses:
        house.portal.close()
    assert len(envelopes) == 4
    assert all(envelope == envelopes[0] for envelope in envelopes)
    assert states(offering, engine.engine) == [(1, "open")]


def test_an_order_is_signed_with_the_active_key(offering: House) -> None:
    engine = offering.enrol()
    signed = verify_order(envelope_of(offering.poll(engine)), engine.order_keys)
    assert signed.keyid == engine.order_keys[0].keyid == offering.portal.configuration.active.keyid


def test_the_standby_key_has_signed_nothing(offering: House) -> None:
    engine = offering.enrol()
    with pytest.raises(OrderRefused):
        verify_order(envelope_of(offering.poll(engine)), engine.order_keys[1:])


def test_an_engine_that_polls_as_another_product_or_platform_gets_no_order(offering: House) -> None:
    engine = offering.enrol(platform="windows-x86_64")
    with pytest.raises(Conflict) as caught:
        offering.poll(engine)
    assert caught.value.code == "engine-other-kind"


def test_a_revoked_engine_gets_no_order_even_from_a_process_that_has_not_heard_of_it(offering: House) -> None:
    engine = offering.enrol()
    late = offering.reopen()
    engines.revoke_engine(offering.portal, engine.engine, actor=Actor("test"), now=offering.now)
    with pytest.raises(NotAuthenticated) as caught:
        fleet.answer(late.portal, engine.engine, poll=poll_of(engine.engine, now=late.now), now=late.now)
    late.portal.close()
    assert caught.value.code == "engine-revoked"


def test_an_engine_that_was_never_enrolled_gets_no_order(offering: House) -> None:
    target = offering.portal.snapshot.current().candidates_of("sample-engine")[0].target
    poll = poll_of(derived_id("eng", "nobody"), now=offering.now)
    with pytest.raises(NotAuthenticated) as caught:
        claim_order(offering.portal, poll, target=target, now=offering.now)
    assert caught.value.code == "engine-unknown"


def test_an_order_leaves_a_row_in_the_audit(offering: House) -> None:
    offering.order(offering.enrol())
    assert offering.audited()[-1] == "order-issued"
