"""Order keys and addresses of the portal, replaced by a signed order."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from engineshed_client.agent import Event
from engineshed_client.agent.carrying_out import carry_out, finish
from engineshed_client.agent.configuring import configured
from engineshed_client.agent.pending import Pending, PendingFile
from engineshed_client.enrol import read_credentials
from engineshed_packages.enrolment import EnrolAnswer, OrderKey
from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_packages.order_keys import load_order_signer, make_order_key
from engineshed_packages.orders import Order, sign_order
from engineshed_packages.protocol import PollAnswer
from tests.client.agent.test_carrying_out import an_order, told
from tests.client.host import ENGINE_ID, FastFs, Host, Killed, KillingFs
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import ScriptedPortal, now
from tests.faulty_http import FaultyServer, answers


@dataclass(frozen=True)
class Key:
    """An order key with its private part."""

    pem: bytes
    public: OrderKey


def new_key() -> Key:
    return Key(*make_order_key())


ACTIVE, STANDBY, NEXT, STRANGER = new_key(), new_key(), new_key(), new_key()
OLD, NEW, OTHER = "http://old.example", "http://new.example", "http://other.example"
IDENTITY = EnrolAnswer(
    portal=new_id("ptl"),
    engine=ENGINE_ID,
    secret="secret",
    order_keys=(ACTIVE.public, STANDBY.public),
    portals=(OLD,),
)


def keys(*wanted: Key) -> tuple[OrderKey, ...]:
    return tuple(key.public for key in wanted)


# the rule


def test_keys_are_replaced_and_portals_stay() -> None:
    after = configured(IDENTITY, an_order("configure", next_keys=keys(NEXT, STANDBY)))
    assert after == replace(IDENTITY, order_keys=keys(NEXT, STANDBY))


@pytest.mark.parametrize(
    ("portals", "former", "wanted", "after", "kept"),
    [
        ((OLD,), (), (NEW,), (NEW,), (OLD,)),
        ((OLD,), (), (OLD,), (OLD,), ()),
        ((OLD,), (), (NEW, OLD), (NEW, OLD), (OLD,)),
        ((NEW,), (OLD,), (OTHER,), (OTHER,), (OLD,)),  # the new one never answered
        ((NEW,), (OLD,), (OLD,), (OLD,), ()),
        ((NEW,), (OLD,), (NEW,), (NEW,), (OLD,)),  # done twice
        ((NEW,), (OLD,), (), (NEW,), (OLD,)),
    ],
)
def test_the_addresses_that_work_are_kept_until_new_ones_have_answered(
    portals: tuple[str, ...],
    former: tuple[str, ...],
    wanted: tuple[str, ...],
    after: tuple[str, ...],
    kept: tuple[str, ...],
) -> None:
    before = replace(IDENTITY, portals=portals, former_portals=former)
    found = configured(before, an_order("configure", next_portals=wanted))
    assert (found.portals, found.former_portals) == (after, kept)


# killed


def test_killed_anywhere_the_identity_is_the_old_or_the_new_one_and_then_the_new_one(
    host: Host, tmp_path_factory: pytest.TempPathFactory
) -> None:
    order = an_order("configure", next_keys=keys(NEXT, STANDBY), next_portals=(NEW,))
    after = configured(IDENTITY, order)
    host.paths.credentials.write_bytes(IDENTITY.to_bytes())
    found, number = set(), 0
    while True:
        one = host.copy(tmp_path_factory.mktemp("killed") / "base")
        try:
            carry_out(one.context(KillingFs(number)), order)
            killed = False
        except Killed:
            killed = True
        identity = read_credentials(one.paths)
        assert identity in (IDENTITY, after), f"killed at {number}"
        found.add(identity == after)
        if finish(one.context()) is None and killed and not told(one, order):
            carry_out(one.context(), order)  # killed before it was remembered: it comes again
        assert read_credentials(one.paths) == after, f"killed at {number}"
        assert told(one, order) == [("configure", "OK", "ok", order.id)], f"killed at {number}"
        if not killed:
            break
        number += 1
    assert found == {True, False}
    assert stat.S_IMODE(one.paths.credentials.stat().st_mode) == 0o600


def test_a_base_without_an_identity_is_not_configured(host: Host) -> None:
    result = carry_out(host.context(), an_order("configure", next_portals=(NEW,)))
    assert (result.code, host.paths.credentials.exists()) == ("not-enrolled", False)


# a whole cycle


@pytest.fixture
def base(joined: JoinedBase, scripted: ScriptedPortal) -> JoinedBase:
    """An enrolled base whose portal has an active and a standby key."""
    identity = read_credentials(joined.paths)
    assert identity is not None
    joined.paths.credentials.write_bytes(
        replace(identity, order_keys=(scripted.key, STANDBY.public)).to_bytes()
    )
    return joined


@pytest.fixture
def other_portal() -> Iterator[FaultyServer]:
    """The same portal under another name."""
    with FaultyServer() as server:
        yield server


def plain(base: JoinedBase, seq: int, do: str = "configure", **changes: object) -> Order:
    order = an_order(
        do, portal=base.portal.portal_id, engine=base.portal.engine_id, id=new_id("ord"), seq=seq
    )
    return replace(order, issued=now(), accept_before=now().replace(year=now().year + 1), **changes)  # type: ignore[arg-type]  # fields by name


def signed(order: Order, key: Key) -> dict[str, Json]:
    return sign_order(order, load_order_signer(key.pem)[0])


def answering(base: JoinedBase, *envelopes: dict[str, Json]) -> None:
    """Answer the next polls with these orders, and then with none."""
    polls: list[PollAnswer] = [base.portal.offer(envelope) for envelope in envelopes]
    base.portal.answer_polls(*polls, base.portal.no_news())


def identity_of(base: JoinedBase) -> EnrolAnswer:
    found = read_credentials(base.paths)
    assert found is not None
    return found


def own(base: JoinedBase) -> Key:
    return Key(base.portal.pem, base.portal.key)


def test_the_active_key_hands_over_to_another_one(base: JoinedBase) -> None:
    order = plain(base, 1, next_keys=keys(NEXT, STANDBY))
    by_old, by_new = plain(base, 9, "cancel"), plain(base, 2, "cancel")
    answering(base, signed(order, own(base)), signed(by_old, own(base)), signed(by_new, NEXT))
    cycle = base.cycle()
    done = [cycle.run() for _ in range(3)]
    assert [(one.event, one.code) for one in done] == [
        (Event.CARRIED_OUT, "ok"),
        (Event.REFUSED, "order-signature"),
        (Event.CARRIED_OUT, "ok"),
    ]
    assert identity_of(base).order_keys == keys(NEXT, STANDBY)
    first = base.portal.reports()[0]
    assert (first.kind, first.order, first.outcome) == ("configure", order.id, "OK")


def test_the_standby_key_takes_over_when_the_active_one_is_lost(base: JoinedBase) -> None:
    fresh = new_key()
    order = plain(base, 1, next_keys=keys(STANDBY, fresh))
    answering(base, signed(order, STANDBY), signed(plain(base, 2, "cancel"), STANDBY))
    cycle = base.cycle()
    assert [cycle.run().code for _ in range(2)] == ["ok", "ok"]
    assert identity_of(base).order_keys == keys(STANDBY, fresh)


@pytest.mark.parametrize("changes", [{"next_keys": keys(STRANGER)}, {"next_portals": (NEW,)}])
def test_a_stranger_changes_nothing(base: JoinedBase, changes: dict[str, object]) -> None:
    before = base.paths.credentials.read_bytes()
    answering(base, signed(plain(base, 1, "configure", **changes), STRANGER))
    assert base.cycle().run().code == "order-signature"
    assert base.paths.credentials.read_bytes() == before


def test_an_old_change_of_keys_is_not_repeated(base: JoinedBase) -> None:
    first = signed(plain(base, 1, next_keys=keys(STANDBY, NEXT)), STANDBY)
    second = signed(plain(base, 2, next_keys=keys(STANDBY, STRANGER)), STANDBY)
    answering(base, first, second, first, second)
    cycle = base.cycle()
    assert [cycle.run().code for _ in range(4)] == ["ok", "ok", "order-replayed", "order-answered"]
    assert identity_of(base).order_keys == keys(STANDBY, STRANGER)


@pytest.mark.parametrize("changes", [{}, {"next_keys": keys(NEXT, NEXT)}])
def test_a_change_of_nothing_or_to_one_key_twice_is_refused(
    base: JoinedBase, changes: dict[str, object]
) -> None:
    answering(base, signed(plain(base, 1, "configure", **changes), own(base)))
    assert base.cycle().run().code == "order-configuration"


def test_a_killed_updater_applies_the_change_before_it_speaks_to_the_portal_and_knows_the_new_keys(
    base: JoinedBase,
) -> None:
    order = plain(base, 1, next_keys=keys(NEXT, STANDBY))
    PendingFile(base.paths, FastFs()).save(Pending(order=order, started=now()))
    answering(base, signed(plain(base, 2, "cancel"), NEXT))
    assert base.cycle().run().code == "ok"
    assert [one.kind for one in base.portal.reports()] == ["configure", "cancel"]


def serve_as(portal: ScriptedPortal, server: FaultyServer) -> None:
    """Let *server* answer as *portal* does."""
    own_server, portal.server = portal.server, server
    try:
        portal.allow("elsewhere")
        portal.answer_polls(portal.no_news())
    finally:
        portal.server = own_server
    server.at("/api/v1/reports", answers.json(b'{"code": "recorded"}'))


def test_the_former_address_is_forgotten_once_the_new_one_has_answered(
    base: JoinedBase, other_portal: FaultyServer
) -> None:
    old = base.portal.server.url
    serve_as(base.portal, other_portal)
    answering(base, signed(plain(base, 1, next_portals=(other_portal.url,)), own(base)))
    cycle = base.cycle()
    assert cycle.run().code == "ok"
    assert (identity_of(base).portals, identity_of(base).former_portals) == ((other_portal.url,), (old,))
    base.portal.server.requests.clear()
    assert cycle.run().event is Event.NOTHING
    assert (identity_of(base).portals, identity_of(base).former_portals) == ((other_portal.url,), ())
    assert base.portal.server.requests == []


def test_an_address_that_never_answers_loses_no_engine(base: JoinedBase) -> None:
    old = base.portal.server.url
    with FaultyServer() as server:
        dead = server.url
    answering(base, signed(plain(base, 1, next_portals=(dead,)), own(base)))
    cycle = base.cycle()
    cycle.run()
    assert [cycle.run().event for _ in range(2)] == [Event.NOTHING, Event.NOTHING]
    assert base.cycle().run().event is Event.NOTHING
    assert (identity_of(base).portals, identity_of(base).former_portals) == ((dead,), (old,))
    answering(base, signed(plain(base, 2, next_portals=(old,)), own(base)))
    assert cycle.run().code == "ok"
    assert (identity_of(base).portals, identity_of(base).former_portals) == ((old,), ())


def test_portals_of_the_settings_stay_what_is_asked_and_the_report_says_so(base: JoinedBase) -> None:
    text = base.paths.settings.read_text()
    base.paths.settings.write_text(f'portals = ["{base.portal.server.url}"]\n{text}')
    base.context = base._open()
    answering(base, signed(plain(base, 1, next_portals=(NEW,)), own(base)))
    done = base.cycle().run()
    assert (done.code, "portals of its own" in done.message) == ("ok", True)
    assert base.cycle().run().event is Event.NOTHING
