"""The updater as a product: offered, ordered and reported beside its engine, which it leaves as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.ids import derived_id
from engineshed_packages.orders import Order
from engineshed_packages.protocol import Outcome
from engineshed_packages.target import UPDATER_PRODUCT, Target
from engineshed_packages.versions import Version
from engineshed_server.db import orders
from engineshed_server.errors import Conflict, Refused
from engineshed_server.services import reports
from engineshed_server.services.engines import show_engine
from engineshed_server.services.holds import HoldChange, change_hold
from engineshed_server.services.ordering import Ask, give_order
from engineshed_server.services.stops import turn_on
from tests.server.portals import ACTOR, House, MakePortal, report_of, skipped
from tests.server.statements import counted
from tests.vendor import PRODUCT, Vendor

SELF = {"version": "1.0.0", "renews": True, "updater_version": "0.1.0"}


@pytest.fixture
def house(make_portal: MakePortal, tmp_path: Path) -> House:
    """A portal with an engine's release and two of the updater."""
    house = make_portal(vendor=Vendor(tmp_path, products=(PRODUCT, UPDATER_PRODUCT)))
    house.publish("1.0.0")
    for version in ("0.2.0", "0.3.0"):
        publish_updater(house, version)
    return house


def publish_updater(house: House, version: str) -> Target:
    target = house.vendor.release(version, product=UPDATER_PRODUCT)
    house.ingest_file(house.vendor.bundle(version, product=UPDATER_PRODUCT))
    return target


@pytest.fixture
def engine(house: House) -> EnrolAnswer:
    """An engine with the newest release, whose updater is old."""
    joined = house.enrol(version="1.0.0")
    house.poll(joined, version="1.0.0")
    house.portal.presence.flush(house.portal.database)
    return joined


def report(house: House, engine: EnrolAnswer, order: Order, outcome: Outcome = Outcome.OK) -> None:
    assert order.package is not None
    house.tick()
    told = report_of(
        engine.engine,
        now=house.now,
        product=UPDATER_PRODUCT,
        attempt=derived_id("att", order.id),
        order=order.id,
        seq=order.seq,
        outcome=outcome,
        code="ok" if outcome is Outcome.OK else "updater-not-up",
        sha256=order.package.sha256,
        from_version=Version.parse("0.1.0"),
        to_version=order.package.version,
        version=Version.parse("0.1.0"),
    )
    reports.record_report(house.portal, engine.engine, report=told, now=house.now)
    house.portal.snapshot.refresh()


def path_of(order: Order) -> str:
    assert order.package is not None
    return order.package.path


def test_an_updater_that_can_is_offered_the_newest_of_itself(house: House, engine: EnrolAnswer) -> None:
    order = house.order(engine, **SELF)
    assert path_of(order) == "engineshed-client/0.3.0/engineshed-client-0.3.0-any.zip"
    assert house.order(engine, **SELF).id == order.id  # unchanged, until it is answered
    report(house, engine, order)
    assert house.poll(engine, **{**SELF, "updater_version": "0.3.0"}).code == "up-to-date"


@pytest.mark.parametrize(
    "changes",
    [
        {"renews": False},
        {"attempt": derived_id("att", "at work"), "state": "STAGED"},
        {"updater_version": "0.3.0"},
        {"updater_version": "0.10.0"},
        {"updater_version": "of last summer"},
    ],
)
def test_one_that_cannot_or_need_not_is_offered_nothing_and_costs_no_statement(
    house: House, engine: EnrolAnswer, changes: dict[str, object]
) -> None:
    with counted(house.portal.database) as statements:
        assert house.poll(engine, **{**SELF, **changes}).order is None
    assert statements == []


def test_it_comes_before_what_the_engine_is_offered(house: House, engine: EnrolAnswer) -> None:
    house.publish("1.1.0")
    updater = house.order(engine, **SELF)
    assert path_of(updater).startswith(UPDATER_PRODUCT)
    report(house, engine, updater)
    order = house.order(engine, **{**SELF, "updater_version": "0.3.0", "seq": updater.seq})
    assert path_of(order).startswith(PRODUCT)
    assert order.seq > updater.seq


def test_what_an_updater_reports_of_itself_leaves_its_engine_as_it_is(
    house: House, engine: EnrolAnswer
) -> None:
    order = house.order(engine, **SELF)
    report(house, engine, order, Outcome.ROLLED_BACK)
    shown = show_engine(house.portal, engine.engine)
    assert shown.line.version == "1.0.0"
    assert shown.line.updater_state == "IDLE"
    assert shown.updater_newest == "0.3.0"
    assert [(one.product, one.outcome) for one in shown.attempts] == [(UPDATER_PRODUCT, "ROLLED_BACK")]
    assert [(one.product, one.state) for one in shown.orders] == [(UPDATER_PRODUCT, "answered")]


def test_one_that_failed_is_not_offered_again_but_the_one_before_it_is(
    house: House, engine: EnrolAnswer
) -> None:
    order = house.order(engine, **SELF)
    assert order.package is not None
    report(house, engine, order, Outcome.ROLLED_BACK)
    again = house.order(engine, **SELF, skipped=skipped("0.3.0", order.package.sha256), seq=order.seq)
    assert path_of(again) == "engineshed-client/0.2.0/engineshed-client-0.2.0-any.zip"


def give(
    house: House, engine: EnrolAnswer, do: str, version: str | None, **more: object
) -> orders.OrderRecord:
    ask = replace(Ask(do=do, version=version, product=UPDATER_PRODUCT), **more)  # type: ignore[arg-type]
    return give_order(house.portal, engine.engine, ask, actor=ACTOR, now=house.now)


def test_an_administrators_order_for_the_updater_stands_beside_the_engines(
    house: House, engine: EnrolAnswer
) -> None:
    given = give(house, engine, "install", "0.2.0")
    stop = give_order(house.portal, engine.engine, Ask(do="stop"), actor=ACTOR, now=house.now)
    first = house.order(engine, **SELF)
    assert (first.id, first.do) == (stop.order_id, "stop")  # the engine first: somebody waits for it
    told = report_of(engine.engine, now=house.now, kind="stop", order=first.id, seq=first.seq)
    reports.record_report(house.portal, engine.engine, report=told, now=house.now)
    house.portal.snapshot.refresh()
    second = house.order(engine, **SELF, seq=first.seq)
    assert second.id == given.order_id
    assert path_of(second).endswith("engineshed-client-0.2.0-any.zip")
    report(house, engine, second)
    assert path_of(house.order(engine, **{**SELF, "updater_version": "0.2.0", "seq": second.seq})).startswith(
        "engineshed-client/0.3.0/"
    )


def test_an_older_updater_and_one_that_failed_are_ordered_when_that_is_meant(
    house: House, engine: EnrolAnswer
) -> None:
    order = house.order(engine, **SELF)
    report(house, engine, order, Outcome.ROLLED_BACK)
    with pytest.raises(Conflict, match="order a retry"):
        give(house, engine, "install", "0.3.0")
    assert give(house, engine, "retry", None).version == "0.3.0"
    again = house.order(engine, **SELF, seq=order.seq)
    assert again.retry
    report(house, engine, again)


@pytest.mark.parametrize(("do", "product"), [("stop", UPDATER_PRODUCT), ("install", "other-engine")])
def test_an_updater_is_ordered_to_install_and_nothing_else(
    house: House, engine: EnrolAnswer, do: str, product: str
) -> None:
    ask = Ask(do=do, product=product, version="1.0.0" if do == "install" else None)
    with pytest.raises(Refused) as caught:
        give_order(house.portal, engine.engine, ask, actor=ACTOR, now=house.now)
    assert caught.value.code == "order-senseless"


def test_holds_and_emergency_stops_count_for_it(house: House, engine: EnrolAnswer) -> None:
    change_hold(
        house.portal,
        UPDATER_PRODUCT,
        version="0.3.0",
        change=HoldChange(held=True, reason="not on Friday"),
        actor=ACTOR,
        now=house.now,
    )
    assert "0.2.0" in path_of(house.order(engine, **SELF))
    turn_on(house.portal, product=UPDATER_PRODUCT, channel=None, reason="halt", actor=ACTOR, now=house.now)
    assert house.poll(engine, **SELF).order is None
