"""Order keys and addresses changed: what engines are sent, and with which key it is signed."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.errors import OrderRefused
from engineshed_packages.ids import derived_id
from engineshed_packages.order_keys import load_order_signer, make_order_key
from engineshed_packages.orders import Order, verify_order
from engineshed_packages.protocol import REFUSAL, Outcome
from engineshed_server.db import audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.revisions import Expected
from engineshed_server.errors import Conflict, NotFound, Outdated, Refused, SetupRefused
from engineshed_server.services import fleet, reports
from engineshed_server.services.order_keys import (
    KeysChanged,
    list_order_keys,
    recover_order_key,
    retire_order_key,
    rotate_order_key,
)
from engineshed_server.services.ordering import Ask, give_order
from engineshed_server.services.portal_addresses import set_portals, show_addresses
from engineshed_server.wiring import open_keyless_portal
from tests.server.portals import House, envelope_of, poll_of, report_of
from tests.server.statements import counted

ADMIN = Actor("cli")
ATTEMPT = derived_id("att", "one")
NEW = ("https://new.example",)


@pytest.fixture
def engine(house: House) -> EnrolAnswer:
    """An engine with the newest release on it."""
    house.publish("1.0.0")
    return house.enrol(version="1.0.0")


def rotate(house: House, standby_out: Path | None = None) -> KeysChanged:
    return rotate_order_key(house.portal, standby_out=standby_out, actor=ADMIN, now=house.now)


def recover(house: House, pem: bytes | None = None) -> KeysChanged:
    pem = house.portal.folders.standby_order_key.read_bytes() if pem is None else pem
    return recover_order_key(house.portal, standby_pem=pem, standby_out=None, actor=ADMIN, now=house.now)


def configure(house: House, engine: EnrolAnswer, **changes: object) -> Order:
    """The order in the answer to the poll of an engine with 1.0.0, verified with the keys it has."""
    return house.order(engine, **{"version": "1.0.0", **changes})


def take_over(house: House, engine: EnrolAnswer, **changes: object) -> EnrolAnswer:
    """The engine does and reports what it is sent; what it knows then."""
    order = configure(house, engine, **changes)
    assert order.do == "configure"
    told = report_of(
        engine.engine, now=house.tick(), order=order.id, seq=order.seq, kind="configure", version=None
    )
    reports.record_report(house.portal, engine.engine, report=told, now=house.now)
    house.portal.snapshot.refresh()
    return replace(
        engine,
        order_keys=order.next_keys or engine.order_keys,
        portals=order.next_portals or engine.portals,
    )


# planned


def test_after_a_rotation_the_active_key_from_before_hands_over(house: House, engine: EnrolAnswer) -> None:
    before = house.portal.configuration
    done = rotate(house)
    after = done.configuration
    assert (done.behind, done.standby_file, after.number) == (1, None, before.number + 1)
    assert after.active != before.active
    assert after.standby == before.standby
    answer = house.poll(engine, version="1.0.0")
    signed = verify_order(envelope_of(answer), engine.order_keys)
    assert (answer.code, signed.keyid) == ("configure", before.active.keyid)
    assert (signed.order.do, signed.order.next_keys, signed.order.next_portals) == (
        "configure",
        after.keys,
        (),
    )


def test_the_change_is_sent_unchanged_until_it_is_reported_and_then_polls_run_no_sql_again(
    house: House, engine: EnrolAnswer
) -> None:
    rotate(house)
    assert configure(house, engine) == configure(house, engine)
    knows = take_over(house, engine)
    assert knows.order_keys == house.portal.configuration.keys
    with counted(house.portal.database) as statements:
        assert house.poll(knows, version="1.0.0").code == "up-to-date"
    assert statements == []


def test_orders_after_the_change_are_signed_with_the_new_key(house: House, engine: EnrolAnswer) -> None:
    rotate(house)
    knows = take_over(house, engine)
    house.publish("1.1.0")
    signed = verify_order(envelope_of(house.poll(knows, version="1.0.0")), knows.order_keys)
    assert signed.keyid == house.portal.configuration.active.keyid
    with pytest.raises(OrderRefused):
        verify_order(envelope_of(house.poll(knows, version="1.0.0")), engine.order_keys)


def test_an_open_order_of_the_old_key_is_signed_anew_for_an_engine_that_knows_the_new_one(
    house: House, engine: EnrolAnswer
) -> None:
    given = give_order(house.portal, engine.engine, Ask(do="restart"), actor=ADMIN, now=house.now)
    first = configure(house, engine)
    assert first.id == given.order_id
    rotate(house)
    knows = take_over(house, engine, seq=0)
    again = configure(house, knows, seq=first.seq + 1)
    assert (again.do, again.id == first.id, again.seq) == ("restart", False, first.seq + 2)


def test_an_automatic_order_of_the_old_key_is_made_anew_too(house: House, engine: EnrolAnswer) -> None:
    house.publish("1.1.0")
    first = configure(house, engine)
    rotate(house)
    knows = take_over(house, engine)
    again = configure(house, knows, seq=first.seq + 1)
    assert (again.do, again.seq) == ("install", first.seq + 2)


def test_an_engine_at_work_is_left_to_it_first(house: House, engine: EnrolAnswer) -> None:
    house.publish("1.1.0")
    first = configure(house, engine)
    rotate(house)
    assert configure(house, engine, attempt=ATTEMPT, state="STAGED", seq=first.seq) == first
    assert configure(house, engine, seq=first.seq).do == "configure"


def test_an_engine_that_was_away_during_two_rotations_comes_back_in_one_step(
    house: House, engine: EnrolAnswer, tmp_path: Path
) -> None:
    rotate(house)
    house.tick(days=30)
    rotate(house, tmp_path / "standby.pem")
    knows = take_over(house, engine)
    assert knows.order_keys == house.portal.configuration.keys
    assert house.poll(knows, version="1.0.0").code == "up-to-date"


def test_a_later_change_supersedes_the_one_that_was_sent(house: House, engine: EnrolAnswer) -> None:
    rotate(house)
    first = configure(house, engine)
    rotate(house)
    second = configure(house, engine)
    assert (second.seq, second.next_keys) == (first.seq + 1, house.portal.configuration.keys)


def test_a_new_standby_key_is_written_out_for_its_owner_alone(house: House, tmp_path: Path) -> None:
    out = tmp_path / "standby.pem"
    done = rotate(house, out)
    _, key = load_order_signer(out.read_bytes())
    assert (done.standby_file, key) == (out, done.configuration.standby)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with pytest.raises(SetupRefused) as caught:
        rotate(house, out)
    assert caught.value.code == "standby-key-exists"
    assert house.portal.configuration == done.configuration


def test_an_engine_that_joins_after_a_rotation_knows_the_new_key(house: House) -> None:
    rotate(house)
    joined = house.enrol(version="1.0.0")
    assert joined.order_keys == house.portal.configuration.keys
    assert house.poll(joined, version="1.0.0").code == "no-release"


def test_an_engine_that_joins_by_a_process_that_has_not_heard_of_the_rotation_is_told(house: House) -> None:
    late = house.reopen()
    rotate(house)
    joined = late.enrol(version="1.0.0")
    house.portal.snapshot.refresh()
    assert configure(house, joined).do == "configure"


def test_another_process_signs_with_the_new_key_when_it_looks(house: House, engine: EnrolAnswer) -> None:
    other = house.reopen()
    rotate(house)
    other.portal.snapshot.refresh()
    assert other.portal.keys.find_signer(other.portal.configuration.active) is not None
    assert configure(other, engine) == configure(house, engine)


# lost


def test_when_the_active_key_is_lost_the_standby_key_takes_over(house: House, engine: EnrolAnswer) -> None:
    standby = house.portal.configuration.standby
    house.portal.folders.order_key.unlink()
    keyless = replace(house, portal=open_keyless_portal(house.portal.settings))
    done = recover(keyless)
    assert done.configuration.active == standby
    assert done.standby_file is not None
    _, fresh = load_order_signer(done.standby_file.read_bytes())
    assert fresh == done.configuration.standby
    signed = verify_order(envelope_of(keyless.poll(engine, version="1.0.0")), engine.order_keys)
    assert (signed.keyid, signed.order.next_keys) == (standby.keyid, (standby, fresh))
    knows = take_over(keyless, engine)
    keyless.publish("1.1.0")
    assert configure(keyless, knows).do == "install"
    keyless.portal.close()
    house.reopen()  # it opens without order.pem from now on


@pytest.mark.parametrize("pem", [make_order_key()[0], b"no key"])
def test_another_key_is_not_taken_for_the_standby_key(house: House, pem: bytes) -> None:
    before = house.portal.configuration
    with pytest.raises((Refused, SetupRefused)) as caught:
        recover(house, pem)
    assert isinstance(caught.value, Refused | SetupRefused)
    assert caught.value.code in ("standby-key-wrong", "order-key-unreadable")
    house.portal.snapshot.refresh()
    assert house.portal.configuration == before


def test_while_no_key_is_here_nothing_is_sent_and_the_answer_says_what_to_do(
    house: House, engine: EnrolAnswer
) -> None:
    house.publish("1.1.0")
    house.portal.folders.order_key.unlink()
    keyless = replace(house, portal=open_keyless_portal(house.portal.settings))
    answer = keyless.poll(engine, version="1.0.0")
    assert (answer.code, answer.order, "order-key recover" in answer.text) == (
        "order-key-missing",
        None,
        True,
    )
    keyless.portal.close()


def test_the_standby_key_recovers_engines_that_missed_a_rotation(house: House, engine: EnrolAnswer) -> None:
    rotate(house)
    house.portal.keys.remove(engine.order_keys[0])
    assert house.poll(engine, version="1.0.0").code == "order-key-missing"
    recover(house)
    assert take_over(house, engine).order_keys == house.portal.configuration.keys


# what engines do not do


def test_an_engine_that_cannot_do_it_goes_on_with_the_key_it_knows(house: House, engine: EnrolAnswer) -> None:
    house.publish("1.1.0")
    rotate(house)
    order = configure(house, engine, capabilities=("install",))
    assert order.do == "install"


def test_a_refused_change_rests_for_an_hour(house: House, engine: EnrolAnswer) -> None:
    rotate(house)
    order = configure(house, engine)
    told = report_of(
        engine.engine,
        now=house.tick(),
        order=order.id,
        kind=REFUSAL,
        outcome=Outcome.ABORTED,
        code="order-unsupported",
        version=None,
    )
    reports.record_report(house.portal, engine.engine, report=told, now=house.now)
    assert house.poll(engine, version="1.0.0").code == "up-to-date"
    house.now += timedelta(hours=1)
    assert configure(house, engine).do == "configure"


def test_a_change_that_failed_on_the_engine_is_sent_again(house: House, engine: EnrolAnswer) -> None:
    rotate(house)
    order = configure(house, engine)
    told = report_of(
        engine.engine,
        now=house.tick(),
        order=order.id,
        kind="configure",
        outcome=Outcome.ABORTED,
        code="disk-full",
        version=None,
    )
    reports.record_report(house.portal, engine.engine, report=told, now=house.now)
    house.portal.snapshot.refresh()
    assert configure(house, engine).seq == order.seq + 1


# retiring


def test_a_former_key_stays_until_every_engine_knows_a_newer_one(house: House, engine: EnrolAnswer) -> None:
    former = house.portal.configuration.active
    rotate(house)
    with pytest.raises(Conflict) as caught:
        retire_order_key(house.portal, former.fingerprint, actor=ADMIN, now=house.now)
    assert (caught.value.code, "1 engines" in caught.value.message) == ("order-key-needed", True)
    take_over(house, engine)
    assert retire_order_key(house.portal, former.fingerprint, actor=ADMIN, now=house.now)
    assert not house.portal.folders.order_key.exists()
    assert not retire_order_key(house.portal, former.fingerprint, actor=ADMIN, now=house.now)
    house.reopen()


def test_the_active_and_the_standby_key_are_not_retired(house: House) -> None:
    for key in house.portal.configuration.keys:
        with pytest.raises(Conflict):
            retire_order_key(house.portal, key.fingerprint, actor=ADMIN, now=house.now)
    with pytest.raises(NotFound):
        retire_order_key(house.portal, "sha256:" + "0" * 64, actor=ADMIN, now=house.now)


def test_keys_are_listed_with_what_they_are_for(house: House, engine: EnrolAnswer) -> None:
    rotate(house)
    told = {(one.role, one.here, one.needed_by) for one in list_order_keys(house.portal)}
    assert told == {("former", True, 1), ("active", True, 0), ("standby", False, 0)}


def test_a_rotation_stands_in_the_audit_with_both_keys(house: House) -> None:
    before = house.portal.configuration
    rotate(house)
    with house.portal.database.read() as session:
        record = audit.list_audit(session)[-1]
    assert (record.action, record.actor) == ("order-key-rotated", ADMIN)
    assert json.loads(record.before or "")["order_key"] == before.active.keyid
    assert json.loads(record.after or "")["order_key"] == house.portal.configuration.active.keyid


# addresses


def test_new_addresses_are_given_to_every_engine(house: House, engine: EnrolAnswer) -> None:
    assert set_portals(house.portal, NEW, actor=ADMIN, now=house.now)
    order = configure(house, engine)
    assert (order.do, order.next_portals, order.next_keys) == ("configure", NEW, engine.order_keys)
    knows = take_over(house, engine)
    assert (knows.portals, house.poll(knows, version="1.0.0").code) == (NEW, "up-to-date")
    assert house.enrol(version="1.0.0").portals == NEW


def test_setting_the_same_addresses_again_changes_nothing(house: House, engine: EnrolAnswer) -> None:
    set_portals(house.portal, NEW, actor=ADMIN, now=house.now)
    assert not set_portals(house.portal, NEW, actor=ADMIN, now=house.now)
    assert house.audited().count("portals-set") == 1


def test_engines_that_have_the_addresses_already_are_not_asked(house: House, engine: EnrolAnswer) -> None:
    set_portals(house.portal, [house.portal.settings.public_url], actor=ADMIN, now=house.now)
    assert house.poll(engine, version="1.0.0").code == "up-to-date"
    assert show_addresses(house.portal).behind == 0


def test_a_rotation_and_new_addresses_come_in_one_order(house: House, engine: EnrolAnswer) -> None:
    rotate(house)
    set_portals(house.portal, NEW, actor=ADMIN, now=house.now)
    order = configure(house, engine)
    assert (order.next_keys, order.next_portals) == (house.portal.configuration.keys, NEW)


def test_it_is_shown_how_many_engines_know(house: House, engine: EnrolAnswer) -> None:
    house.enrol(version="1.0.0")
    set_portals(house.portal, NEW, actor=ADMIN, now=house.now)
    take_over(house, engine)
    shown = show_addresses(house.portal)
    assert (shown.number, shown.portals, shown.engines, shown.behind) == (2, NEW, 2, 1)


@pytest.mark.parametrize(
    ("urls", "code"),
    [
        ((), "portals-refused"),
        (("https://a.example", "https://a.example/"), "portals-refused"),
        (tuple(f"https://{number}.example" for number in range(9)), "portals-refused"),
        (("ftp://a.example",), "portal-url"),
        (("https://user@a.example",), "portal-url"),
    ],
)
def test_addresses_that_engines_could_not_use_are_refused(
    house: House, urls: tuple[str, ...], code: str
) -> None:
    with pytest.raises(Refused) as caught:
        set_portals(house.portal, urls, actor=ADMIN, now=house.now)
    assert (caught.value.code, show_addresses(house.portal).number) == (code, 1)


def test_of_two_who_change_addresses_the_second_is_told(house: House) -> None:
    seen = Expected(frozenset({1}))
    set_portals(house.portal, NEW, actor=ADMIN, now=house.now, expected=seen)
    with pytest.raises(Outdated):
        set_portals(house.portal, ["https://b.example"], actor=ADMIN, now=house.now, expected=seen)


def test_a_change_is_not_sent_to_an_engine_that_polls_as_another(house: House, engine: EnrolAnswer) -> None:
    rotate(house)
    poll = poll_of(engine.engine, now=house.now, platform="windows-x86_64")
    with pytest.raises(Conflict):
        fleet.answer(house.portal, engine.engine, poll=poll, now=house.now)
