from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.filters import AuditFilter
from engineshed_server.errors import Refused
from engineshed_server.services.audit import AuditEntry, list_audit
from engineshed_server.services.ordering import Ask, give_order
from engineshed_server.services.reports import record_report
from tests.server.portals import House, report_of

ANY = AuditFilter()


def write(house: House, action: str, *, subject: str = "a", actor: str = "cli") -> None:
    with house.portal.database.write() as session:
        add_audit(
            session,
            action,
            subject=subject,
            actor=Actor(actor, address="192.0.2.1", request="req_1"),
            now=house.now,
            details={"n": 1},
            after={"x": True},
        )


def found(house: House, **words: str | datetime) -> list[str]:
    wanted = replace(ANY, **words)  # type: ignore[arg-type]  # what does not fit fails in the test itself
    return [one.action for one in list_audit(house.portal, wanted, limit=100).entries]


def test_the_newest_change_comes_first(house: House) -> None:
    for action in ("first", "second", "third"):
        write(house, action)
    assert found(house)[:3] == ["third", "second", "first"]


def test_an_entry_says_who_what_when_and_from_where(house: House) -> None:
    write(house, "done")
    entry = list_audit(house.portal, ANY, limit=1).entries[0]
    assert entry == AuditEntry(
        entry=entry.entry,
        at=house.now,
        actor="cli",
        address="192.0.2.1",
        request="req_1",
        action="done",
        subject="a",
        details={"n": 1},
        before=None,
        after={"x": True},
    )


@pytest.mark.parametrize(
    ("words", "actions"),
    [
        ({"subject": "b"}, ["three", "two"]),
        ({"actor": "token:1"}, ["three"]),
        ({"action": "one"}, ["one"]),
        ({"subject": "b", "actor": "cli"}, ["two"]),
        ({"subject": "B"}, []),
        ({"subject": "%"}, []),
    ],
)
def test_only_what_is_wanted_is_listed(house: House, words: dict[str, str], actions: list[str]) -> None:
    write(house, "one")
    write(house, "two", subject="b")
    write(house, "three", subject="b", actor="token:1")
    assert found(house, **words) == actions


def test_pages_follow_each_other_while_changes_go_on(house: House) -> None:
    for action in ("1", "2", "3", "4"):
        write(house, action, subject="p")
    wanted = AuditFilter(subject="p")
    first = list_audit(house.portal, wanted, limit=2)
    write(house, "5", subject="p")
    second = list_audit(house.portal, wanted, limit=2, after=first.after)
    told = [one.action for page in (first, second) for one in page.entries]
    assert (told, second.after) == (["4", "3", "2", "1"], None)


@pytest.mark.parametrize("place", ["", "x", "-1", "1" * 19, "١"])
def test_a_place_that_is_none_is_refused(house: House, place: str) -> None:
    with pytest.raises(Refused) as caught:
        list_audit(house.portal, ANY, limit=1, after=place)
    assert caught.value.code == "page-place"


def test_what_an_engine_was_ordered_and_tried_is_found_by_its_id(house: House) -> None:
    house.publish("1.0.0")
    engine, other = house.enrol(), house.enrol()
    for one in (engine, other):
        order = house.order(one)
        report = report_of(one.engine, now=house.now, order=order.id)
        record_report(house.portal, one.engine, report=report, now=house.now)
    told = found(house, subject=engine.engine)
    assert told == ["attempt-ended", "order-issued", "engine-enrolled"]
    assert found(house, subject=engine.engine, action="order-issued") == ["order-issued"]
    page = list_audit(house.portal, AuditFilter(subject=engine.engine), limit=1)
    second = list_audit(house.portal, AuditFilter(subject=engine.engine), limit=2, after=page.after)
    assert [one.action for one in second.entries] == ["order-issued", "engine-enrolled"]


def test_an_order_that_an_admin_gave_is_found_by_the_engine(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    ask = Ask(do="install", version="1.0.0", message="as agreed")
    give_order(house.portal, engine.engine, ask, actor=Actor("user:anna"), now=house.now)
    assert found(house, subject=engine.engine) == ["order-given", "engine-enrolled"]


def test_changes_are_found_by_their_time(house: House) -> None:
    begin = house.now
    for action in ("1", "2", "3"):
        write(house, action, subject="t")
        house.tick(minutes=1)
    second = begin + timedelta(minutes=1)
    assert found(house, subject="t", since=second) == ["3", "2"]
    assert found(house, subject="t", until=second) == ["1"]


def test_the_differences_are_what_is_not_the_same_before_and_after(house: House) -> None:
    write(house, "done")
    entry = replace(
        list_audit(house.portal, ANY, limit=1).entries[0],
        before={"a": 1, "b": "same", "gone": True},
        after={"a": 2, "b": "same", "new": None, "newer": False},
    )
    assert [(one.name, one.before, one.after) for one in entry.differences] == [
        ("a", 1, 2),
        ("gone", True, None),
        ("newer", None, False),
    ]
