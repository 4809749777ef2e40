"""The approval queue: who waits is seen and given nothing; what an admin says is in force at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from engineshed_packages.enrolment import EnrolAnswer, TokenRequest
from engineshed_packages.ids import derived_id
from engineshed_server.db import audit
from engineshed_server.domain import decide
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.filters import EngineFilter
from engineshed_server.errors import Conflict, NotAllowed, NotAuthenticated, NotFound, Refused
from engineshed_server.services import access, engines, fleet
from engineshed_server.services.approval import MAX_AT_ONCE, approve_engines, reject_engines, reject_forgotten
from tests.server.portals import House

ADMIN = Actor("token:tok_admin", address="198.51.100.7", request="req-1")


@pytest.fixture
def waiting(house: House) -> EnrolAnswer:
    """An engine that waits, while a release that fits it is published."""
    house.publish("1.0.0")
    return house.enrol(needs_approval=True)


def token_of(house: House, engine: EnrolAnswer) -> str:
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    return access.issue(house.portal, request, address="192.0.2.1", now=house.now).access_token


def state_of(house: House, engine: EnrolAnswer) -> str:
    return engines.show_engine(house.portal, engine.engine).line.state


def approve(house: House, *engine_ids: str) -> tuple[str, ...]:
    return approve_engines(house.portal, engine_ids, actor=ADMIN, now=house.now)


def reject(house: House, *engine_ids: str) -> tuple[str, ...]:
    return reject_engines(house.portal, engine_ids, actor=ADMIN, now=house.now)


def test_who_joins_without_approval_is_let_in_at_once(house: House) -> None:
    engine = house.enrol()
    assert (engine.waiting, state_of(house, engine)) == (False, "enrolled")


def test_who_waits_is_told_so_when_it_joins_and_at_each_poll(house: House, waiting: EnrolAnswer) -> None:
    assert waiting.waiting
    answer = house.poll(waiting)
    assert (answer.code, answer.order) == ("waiting-for-approval", None)
    assert "waits for approval by the portal's admin" in answer.text


def test_who_waits_is_seen(house: House, waiting: EnrolAnswer) -> None:
    house.poll(waiting)
    house.portal.presence.flush(house.portal.database)
    line = engines.show_engine(house.portal, waiting.engine).line
    assert (line.state, line.seen) == ("waiting", house.now)


def test_who_waits_gets_a_token_to_poll_with_and_nothing_else(house: House, waiting: EnrolAnswer) -> None:
    token = token_of(house, waiting)
    assert access.verify_engine(house.portal, token, now=house.now) == waiting.engine
    with pytest.raises(NotAllowed) as caught:
        access.verify_approved_engine(house.portal, token, now=house.now)
    assert caught.value.code == "engine-waiting"


def test_a_process_that_has_not_heard_of_it_yet_does_not_let_it_in(house: House) -> None:
    house.publish("1.0.0")
    other = house.reopen()
    engine = house.enrol(needs_approval=True)
    token = token_of(house, engine)
    with pytest.raises(NotAllowed):
        access.verify_approved_engine(other.portal, token, now=house.now)
    assert other.poll(engine).order is None
    other.portal.close()


def test_no_order_is_made_for_it_by_a_process_that_takes_it_for_enrolled(house: House) -> None:
    house.publish("1.0.0")
    other = house.reopen()
    engine = house.enrol(needs_approval=True)
    with pytest.raises(NotAllowed) as caught:
        other.poll(engine)
    assert caught.value.code == "engine-waiting"
    other.portal.close()


def test_who_is_approved_is_given_what_fits(house: House, waiting: EnrolAnswer) -> None:
    token = token_of(house, waiting)
    assert approve(house, waiting.engine) == (waiting.engine,)
    assert access.verify_approved_engine(house.portal, token, now=house.now) == waiting.engine
    assert house.order(waiting).package is not None
    assert state_of(house, waiting) == "enrolled"


def test_an_approval_is_in_force_in_another_process_once_it_has_looked(
    house: House, waiting: EnrolAnswer
) -> None:
    other = house.reopen()
    token = token_of(house, waiting)
    approve(house, waiting.engine)
    assert other.portal.snapshot.refresh()
    assert access.verify_approved_engine(other.portal, token, now=house.now) == waiting.engine
    other.portal.close()


def test_who_is_rejected_is_shut_out(house: House, waiting: EnrolAnswer) -> None:
    token = token_of(house, waiting)
    assert reject(house, waiting.engine) == (waiting.engine,)
    with pytest.raises(NotAuthenticated) as verified:
        access.verify_engine(house.portal, token, now=house.now)
    with pytest.raises(NotAuthenticated) as issued:
        token_of(house, waiting)
    assert (verified.value.code, issued.value.code) == ("engine-rejected", "engine-rejected")
    assert state_of(house, waiting) == "rejected"


def test_a_rejection_can_be_thought_over(house: House, waiting: EnrolAnswer) -> None:
    reject(house, waiting.engine)
    assert approve(house, waiting.engine) == (waiting.engine,)
    assert house.order(waiting).package is not None


def test_deciding_again_changes_nothing(house: House, waiting: EnrolAnswer) -> None:
    approve(house, waiting.engine)
    assert approve(house, waiting.engine, waiting.engine) == ()
    assert house.audited().count("engine-approved") == 1


def test_many_are_decided_on_at_once(house: House) -> None:
    waiting = [house.enrol(needs_approval=True).engine for _ in range(3)]
    assert approve(house, *waiting) == tuple(sorted(waiting))
    assert house.audited().count("engine-approved") == 3


@pytest.mark.parametrize("decide_on", [approve, reject])
def test_when_one_cannot_be_decided_on_none_is(
    house: House, waiting: EnrolAnswer, decide_on: Callable[..., object]
) -> None:
    with pytest.raises(NotFound) as unknown:
        decide_on(house, waiting.engine, derived_id("eng", "nobody"))
    revoked = house.enrol()
    engines.revoke_engine(house.portal, revoked.engine, actor=ADMIN, now=house.now)
    with pytest.raises(Conflict) as conflict:
        decide_on(house, waiting.engine, revoked.engine)
    assert (unknown.value.code, conflict.value.code) == ("engine-unknown", "engine-state")
    assert state_of(house, waiting) == "waiting"


def test_an_enrolled_engine_is_not_rejected_but_revoked(house: House) -> None:
    engine = house.enrol()
    with pytest.raises(Conflict) as caught:
        reject(house, engine.engine)
    assert caught.value.code == "engine-state"


def test_not_more_are_decided_on_at_once_than_one_transaction_bears(house: House) -> None:
    names = [derived_id("eng", str(number)) for number in range(MAX_AT_ONCE + 1)]
    with pytest.raises(Refused) as caught:
        approve(house, *names)
    assert caught.value.code == "engines-too-many"


def test_the_audit_says_who_decided_and_what_was_before(house: House, waiting: EnrolAnswer) -> None:
    reject(house, waiting.engine)
    approve(house, waiting.engine)
    with house.portal.database.read() as session:
        found = [record for record in audit.list_audit(session) if record.subject == waiting.engine]
    told = [(record.action, record.actor, record.before, record.after) for record in found[-2:]]
    assert told == [
        ("engine-rejected", ADMIN, json.dumps({"state": "waiting"}), json.dumps({"state": "rejected"})),
        ("engine-approved", ADMIN, json.dumps({"state": "rejected"}), json.dumps({"state": "enrolled"})),
    ]


def test_who_waits_too_long_is_rejected_by_the_portal(house: House, waiting: EnrolAnswer) -> None:
    limit = timedelta(seconds=house.portal.settings.approval_s)
    assert reject_forgotten(house.portal, now=house.now + limit) == 0
    assert reject_forgotten(house.portal, now=house.now + limit + timedelta(seconds=1)) == 1
    assert reject_forgotten(house.portal, now=house.now + 2 * limit) == 0
    assert state_of(house, waiting) == "rejected"
    assert house.audited()[-1] == "engine-approval-expired"


def test_who_was_approved_in_time_stays(house: House, waiting: EnrolAnswer) -> None:
    approve(house, waiting.engine)
    assert reject_forgotten(house.portal, now=house.now + timedelta(days=999)) == 0
    assert state_of(house, waiting) == "enrolled"


def test_it_is_explained_why_who_waits_is_offered_nothing(house: House, waiting: EnrolAnswer) -> None:
    decision = fleet.explain(house.portal, waiting.engine, now=house.now)
    assert (decision.code, decision.target) == (decide.WAITING, None)
    assert [reason.code for reason in decision.reasons] == ["fits"]


def test_it_is_explained_why_who_was_shut_out_hears_nothing(house: House, waiting: EnrolAnswer) -> None:
    reject(house, waiting.engine)
    assert fleet.explain(house.portal, waiting.engine, now=house.now).code == "engine-rejected"
    engines.revoke_engine(house.portal, waiting.engine, actor=ADMIN, now=house.now)
    decision = fleet.explain(house.portal, waiting.engine, now=house.now)
    assert (decision.code, decision.target) == ("engine-revoked", None)


def test_who_waits_can_be_listed(house: House, waiting: EnrolAnswer) -> None:
    house.enrol()
    (line,) = engines.list_engines(house.portal, EngineFilter(state="waiting")).engines
    assert line.engine_id == waiting.engine
