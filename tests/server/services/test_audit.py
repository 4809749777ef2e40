from __future__ import annotations

import pytest

from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.filters import AuditFilter
from engineshed_server.errors import Refused
from engineshed_server.services.audit import AuditEntry, list_audit
from tests.server.portals import House

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


def found(house: House, **words: str) -> list[str]:
    return [one.action for one in list_audit(house.portal, AuditFilter(**words), limit=100).entries]


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
