from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engineshed_packages.enrolment import EnrolAnswer, TokenRequest, fingerprint
from engineshed_server.db import audit
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAllowed, NotAuthenticated, Refused, ServerError, TryLater
from engineshed_server.services import access, engines
from engineshed_server.services.api_tokens import Scope, create_api_token
from engineshed_server.services.enrol_tokens import (
    EnrolTerms,
    NewEnrolToken,
    create_enrol_token,
    revoke_enrol_token,
    show_enrol_token,
)
from engineshed_server.services.enrolment import enrol
from engineshed_server.services.guesses import FREE_FAILURES, MAX_WAIT_S
from tests.server.databases import everything_in
from tests.server.portals import House, MakePortal, enrol_request
from tests.server.statements import counted


def make_token(house: House, **terms: object) -> NewEnrolToken:
    wanted = EnrolTerms(**{"expires_s": 3600, **terms})  # type: ignore[arg-type]  # terms by name
    return create_enrol_token(house.portal, wanted, actor=Actor("test"), now=house.now)


def join(house: House, token: str, *, address: str = "192.0.2.1") -> EnrolAnswer:
    return enrol(house.portal, enrol_request(token), address=address, now=house.now)


def refusal(house: House, token: str, *, address: str = "192.0.2.1") -> str:
    with pytest.raises(ServerError) as caught:
        join(house, token, address=address)
    return caught.value.code


def test_the_line_carries_all_a_host_must_know(house: House) -> None:
    line = make_token(house).line
    assert line.portal == house.portal.settings.public_url
    assert line.order_key == house.portal.configuration.active.fingerprint
    assert line.standby == house.portal.configuration.standby.fingerprint
    assert line.ca is None


def test_the_line_carries_the_fingerprint_of_the_ca(make_portal: MakePortal, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(b"a certificate")
    house = make_portal(portal__ca_file=str(ca_file))
    assert make_token(house).line.ca == fingerprint(b"a certificate")


def test_a_token_has_160_bit_and_is_shown_once(house: House) -> None:
    made = make_token(house)
    assert len(made.line.token.rpartition("-")[2]) == 32
    assert made.line.token not in repr(made)


def test_neither_token_nor_secret_is_stored(house: House) -> None:
    made = make_token(house)
    answer = join(house, made.line.token)
    stored = everything_in(house.portal.database)
    assert answer.engine in stored
    assert made.line.token not in stored
    assert answer.secret not in stored


def test_an_engine_gets_an_identity_and_both_order_keys(house: House) -> None:
    answer = join(house, make_token(house).line.token)
    identity = house.portal.identity
    assert answer.order_keys == house.portal.configuration.keys
    assert (answer.portal, answer.portals) == (identity.portal_id, (house.portal.settings.public_url,))
    line = engines.show_engine(house.portal, answer.engine).line
    assert (line.group, line.host_name, line.version, line.state) == (
        "default",
        "engine-host",
        "0.9",
        "enrolled",
    )


def test_a_used_token_is_refused(house: House) -> None:
    token = make_token(house).line.token
    join(house, token)
    assert refusal(house, token) == "enrol-token-used"


def test_an_expired_token_is_refused(house: House) -> None:
    token = make_token(house).line.token
    house.now += timedelta(hours=1)
    assert refusal(house, token) == "enrol-token-expired"


def test_a_wrong_token_is_refused(house: House) -> None:
    assert refusal(house, "engineshed-join-guessed") == "enrol-token-unknown"


def test_an_api_token_is_no_enrolment_token(house: House) -> None:
    made = create_api_token(house.portal, name="x", scope=Scope.ADMIN, actor=Actor("test"), now=house.now)
    assert refusal(house, made.secret) == "enrol-token-unknown"


def test_a_token_joins_as_many_engines_as_it_says(house: House) -> None:
    token = make_token(house, uses=2).line.token
    assert join(house, token).engine != join(house, token).engine
    assert refusal(house, token) == "enrol-token-used"


def test_of_many_hosts_with_the_last_use_one_joins(house: House) -> None:
    token = make_token(house).line.token
    joined: list[str] = []
    refused: list[str] = []

    def one(number: int) -> None:
        try:
            joined.append(join(house, token, address=f"192.0.2.{number}").engine)
        except NotAuthenticated as err:
            refused.append(err.code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(joined), refused) == (1, ["enrol-token-used"] * 4)


def fail(house: House, times: int) -> None:
    for _ in range(times):
        with pytest.raises(NotAuthenticated):
            join(house, "wrong")


def test_guessing_is_delayed_after_some_failures(house: House) -> None:
    fail(house, FREE_FAILURES + 1)
    with pytest.raises(TryLater) as caught:
        join(house, "wrong")
    assert (caught.value.code, caught.value.retry_after_s) == ("enrol-delayed", 2)


def test_the_delay_grows_up_to_a_limit(house: House) -> None:
    waits = []
    fail(house, FREE_FAILURES)
    for _ in range(13):
        fail(house, 1)
        with pytest.raises(TryLater) as caught:
            join(house, "wrong")
        waits.append(caught.value.retry_after_s - 1)
        house.now += timedelta(seconds=waits[-1])
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == MAX_WAIT_S


def test_one_who_guesses_keeps_no_good_token_from_joining(house: House) -> None:
    token = make_token(house).line.token
    fail(house, FREE_FAILURES + 1)
    join(house, token)
    assert refusal(house, "wrong") == "enrol-delayed"


def test_a_token_that_is_used_up_waits_like_a_wrong_one(house: House) -> None:
    token = make_token(house).line.token
    join(house, token)
    fail(house, FREE_FAILURES + 1)
    assert refusal(house, token) == "enrol-delayed"


def test_a_token_that_has_expired_waits_like_a_wrong_one(house: House) -> None:
    token = make_token(house, expires_s=1).line.token
    house.tick()
    fail(house, FREE_FAILURES + 1)
    assert refusal(house, token) == "enrol-delayed"


def test_another_address_does_not_have_to_wait(house: House) -> None:
    fail(house, FREE_FAILURES + 1)
    join(house, make_token(house).line.token, address="192.0.2.2")


def test_failures_are_forgotten_after_an_hour_without_any(house: House) -> None:
    fail(house, FREE_FAILURES + 1)
    house.now += timedelta(hours=1, seconds=1)
    fail(house, FREE_FAILURES)


def test_all_processes_count_together(house: House) -> None:
    other = house.reopen()
    fail(house, FREE_FAILURES)
    fail(other, 1)
    assert refusal(house, "wrong") == "enrol-delayed"
    other.portal.close()


def test_a_revoked_token_is_refused(house: House) -> None:
    made = make_token(house, uses=2)
    join(house, made.line.token)
    revoke_enrol_token(house.portal, made.token.token_id, actor=Actor("test"), now=house.now)
    assert refusal(house, made.line.token) == "enrol-token-revoked"


def test_a_token_for_another_product_is_refused_and_not_used_up(house: House) -> None:
    made = make_token(house, product="another-engine")
    assert refusal(house, made.line.token) == "enrol-token-product"
    assert show_enrol_token(house.portal, made.token.token_id, now=house.now).uses_left == 1


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7"])
def test_a_token_joins_from_the_networks_it_is_for(house: House, address: str) -> None:
    made = make_token(house, networks=("10.0.0.0/8", "2001:db8::/32"))
    joined = join(house, made.line.token, address=address)
    assert engines.show_engine(house.portal, joined.engine).line.address == address


@pytest.mark.parametrize("address", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db9::7", "", "unix:"])
def test_a_token_used_from_elsewhere_is_refused_and_not_used_up(house: House, address: str) -> None:
    made = make_token(house, networks=("10.0.0.0/8", "2001:db8::/32"))
    assert refusal(house, made.line.token, address=address) == "enrol-token-address"
    assert show_enrol_token(house.portal, made.token.token_id, now=house.now).uses_left == 1


def test_a_stolen_token_tried_from_elsewhere_waits_like_a_wrong_one(house: House) -> None:
    made = make_token(house, networks=("10.0.0.0/8",))
    fail(house, FREE_FAILURES + 1)
    assert refusal(house, made.line.token) == "enrol-delayed"
    join(house, made.line.token, address="10.1.2.3")


def test_who_may_choose_among_addresses_is_counted_once(house: House) -> None:
    for number in range(FREE_FAILURES + 1):
        assert refusal(house, "wrong", address=f"2001:db8::{number}") == "enrol-token-unknown"
    assert refusal(house, "wrong", address="2001:db8::ffff") == "enrol-delayed"
    assert refusal(house, "wrong", address="2001:db8:0:1::") == "enrol-token-unknown"


def test_every_wrong_token_costs_the_same_work(house: House) -> None:
    """No early return tells a guesser that a token exists."""
    used = make_token(house)
    join(house, used.line.token)
    other = make_token(house, product="another-engine")
    elsewhere = make_token(house, networks=("10.0.0.0/8",))
    work = []
    for number, token in enumerate(["wrong", used.line.token, other.line.token, elsewhere.line.token]):
        with counted(house.portal.database) as statements:
            refusal(house, token, address=f"192.0.2.{10 + number}")
        work.append(statements)
    assert len(work[0]) > 4
    assert work == [work[0]] * len(work)


def test_joining_and_failing_leave_rows_in_the_audit(house: House) -> None:
    join(house, make_token(house).line.token)
    fail(house, 1)
    _, _, *audited = house.audited()  # the first two are of `init`
    assert audited == ["enrol-token-created", "engine-enrolled", "enrolment-failed"]


@pytest.mark.parametrize(
    "terms",
    [{"uses": 0}, {"uses": 10**9}, {"expires_s": 0}, {"expires_s": 10**9}],
)
def test_terms_that_make_no_sense_are_refused(house: House, terms: dict[str, object]) -> None:
    with pytest.raises(Refused) as caught:
        make_token(house, **terms)
    assert caught.value.code == "enrol-token-terms"


def take_place(house: House, engine: EnrolAnswer, **terms: object) -> EnrolAnswer:
    """Another host joins in the place of *engine*."""
    token = make_token(house, replaces=engine.engine, **terms).line.token
    request = replace(enrol_request(token, version="0.8", platform="windows-x86_64"), host_name="new-host")
    return enrol(house.portal, request, address="192.0.2.2", now=house.now)


def access_token(house: House, engine: EnrolAnswer) -> str:
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    return access.issue(house.portal, request, address="192.0.2.1", now=house.now).access_token


def test_who_takes_an_engines_place_keeps_its_id_and_history(house: House) -> None:
    house.publish("1.0.0")
    before = house.enrol(group="berlin")
    seq = house.order(before).seq
    house.tick()
    after = take_place(house, before)
    assert (after.engine, after.secret == before.secret) == (before.engine, False)
    detail = engines.show_engine(house.portal, after.engine)
    assert (detail.line.group, detail.line.host_name, detail.line.platform) == (
        "berlin",
        "new-host",
        "windows-x86_64",
    )
    assert (detail.line.enrolled, detail.line.version, detail.line.address) == (
        house.now,
        "0.8",
        "192.0.2.2",
    )
    assert [order.seq for order in detail.orders] == [seq]


def test_the_secret_from_before_is_dead_at_once(house: House) -> None:
    before = house.enrol()
    after = take_place(house, before)
    with pytest.raises(NotAuthenticated) as caught:
        access_token(house, before)
    assert caught.value.code == "engine-secret-wrong"
    access_token(house, after)


def test_an_access_token_from_before_is_dead_in_every_process(house: House) -> None:
    before = house.enrol()
    other = house.reopen()
    old = access_token(house, before)
    after = take_place(house, before)
    new = access_token(house, after)
    other.portal.snapshot.refresh()
    for portal in (house.portal, other.portal):
        with pytest.raises(NotAuthenticated) as caught:
            access.verify_engine(portal, old, now=house.now)
        assert caught.value.code == "engine-replaced"
        assert access.verify_engine(portal, new, now=house.now) == before.engine
    other.portal.close()


def test_a_new_secret_is_taken_by_a_process_that_has_not_heard_of_it_yet(house: House) -> None:
    before = house.enrol()
    engines.revoke_engine(house.portal, before.engine, actor=Actor("test"), now=house.now)
    other = house.reopen()
    new = access_token(house, take_place(house, before))
    assert access.verify_approved_engine(other.portal, new, now=house.now) == before.engine
    other.portal.close()


def test_the_place_of_a_revoked_engine_can_be_taken(house: House) -> None:
    before = house.enrol()
    engines.revoke_engine(house.portal, before.engine, actor=Actor("test"), now=house.now)
    after = take_place(house, before)
    assert engines.show_engine(house.portal, after.engine).line.state == "enrolled"
    assert house.poll(after, platform="windows-x86_64").code == "no-release"


def test_who_takes_a_place_may_have_to_be_approved(house: House) -> None:
    after = take_place(house, house.enrol(), needs_approval=True)
    assert after.waiting
    assert house.poll(after, platform="windows-x86_64").code == "waiting-for-approval"


@pytest.mark.parametrize(("reported", "expected"), [(0, 2), (1, 2), (41, 42)])
def test_orders_go_on_counting_in_the_place_that_was_taken(
    house: House, reported: int, expected: int
) -> None:
    """A host that lost its memory is given higher numbers, too, and one that kept it higher than those."""
    house.publish("1.0.0")
    before = house.enrol()
    assert house.order(before).seq == 1
    after = take_place(house, before)
    house.publish("1.1.0")
    assert house.order(after, seq=reported, platform="windows-x86_64").seq == expected


def test_a_place_is_not_taken_by_another_product(house: House) -> None:
    token = make_token(house, replaces=house.enrol().engine).line.token
    request = replace(enrol_request(token), product="another-engine")
    with pytest.raises(NotAllowed) as caught:
        enrol(house.portal, request, address="192.0.2.2", now=house.now)
    assert caught.value.code == "enrol-token-product"


def test_a_place_is_taken_once(house: House) -> None:
    token = make_token(house, replaces=house.enrol().engine).line.token
    join(house, token)
    assert refusal(house, token) == "enrol-token-used"


def test_the_audit_says_what_a_place_was_and_what_it_is(house: House) -> None:
    before = house.enrol()
    take_place(house, before)
    with house.portal.database.read() as session:
        record = audit.list_audit(session)[-1]
    assert (record.action, record.subject) == ("engine-replaced", before.engine)
    assert record.actor == Actor("enrolment", address="192.0.2.2")
    assert record.before is not None
    assert record.after is not None
    told = [json.loads(text)["host_name"] for text in (record.before, record.after)]
    assert told == ["engine-host", "new-host"]
