from __future__ import annotations

import json

import pytest

from engineshed_packages.ids import derived_id
from engineshed_packages.repository.releases import ReleaseChange
from engineshed_server.db import audit
from engineshed_server.domain.revisions import ANY_REVISION, Expected
from engineshed_server.errors import NotFound, Outdated, Refused
from engineshed_server.services import engines
from engineshed_server.services.engine_edits import EngineChange, change_engine
from engineshed_server.services.fleet import explain
from engineshed_server.services.ordering import Ask, give_order
from tests.server.portals import ACTOR, House


def change(house: House, engine_id: str, expected: Expected = ANY_REVISION, **words: str) -> bool:
    return change_engine(
        house.portal, engine_id, change=EngineChange(**words), expected=expected, actor=ACTOR, now=house.now
    )


def revision(house: House, engine_id: str) -> int:
    return engines.show_engine(house.portal, engine_id).revision


def test_what_is_named_is_changed_and_the_rest_stays(house: House) -> None:
    engine = house.enrol().engine
    assert change(house, engine, group="north")
    assert change(house, engine, channel="beta")
    line = engines.show_engine(house.portal, engine).line
    assert (line.group, line.channel, revision(house, engine)) == ("north", "beta", 2)


def test_a_channel_is_in_force_at_the_next_poll(house: House) -> None:
    engine = house.enrol()
    house.vendor.release("1.0.0")
    house.vendor.change("1.0.0", ReleaseChange(channel="beta"))
    house.ingest("1.0.0")
    assert house.poll(engine).order is None
    change(house, engine.engine, channel="beta")
    assert house.poll(engine).order is not None


def test_of_two_edits_from_one_revision_the_second_is_refused(house: House) -> None:
    engine = house.enrol().engine
    seen = Expected(frozenset({revision(house, engine)}))
    change(house, engine, seen, group="north")
    with pytest.raises(Outdated) as caught:
        change(house, engine, seen, group="south")
    assert caught.value.code == "revision-outdated"
    assert engines.show_engine(house.portal, engine).line.group == "north"


def test_a_poll_does_not_outdate_what_was_read(house: House) -> None:
    engine = house.enrol()
    seen = Expected(frozenset({revision(house, engine.engine)}))
    house.poll(engine)
    house.portal.presence.flush(house.portal.database)
    assert change(house, engine.engine, seen, group="north")


def test_what_is_so_already_is_no_change(house: House) -> None:
    engine = house.enrol().engine
    change(house, engine, group="north")
    before = house.audited()
    assert not change(house, engine, group="north")
    assert (revision(house, engine), house.audited()) == (1, before)


def test_the_audit_says_what_was_before_and_after(house: House) -> None:
    engine = house.enrol().engine
    change(house, engine, group="north")
    with house.portal.database.read() as session:
        record = audit.list_audit(session)[-1]
    assert (record.action, record.subject) == ("engine-changed", engine)
    assert json.loads(record.before or "") == {"group": "default", "channel": "stable"}
    assert json.loads(record.after or "") == {"group": "north", "channel": "stable"}


def test_an_unknown_engine_is_not_changed(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        change(house, derived_id("eng", "nobody"), group="north")
    assert caught.value.code == "engine-unknown"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"group": ""}, "group-name"),
        ({"group": "a b"}, "group-name"),
        ({"group": "x" * 65}, "group-name"),
        ({"group": "north\n"}, "group-name"),
        ({"channel": "Beta"}, "channel-name"),
    ],
)
def test_a_name_that_is_none_is_refused(words: dict[str, str], code: str) -> None:
    with pytest.raises(Refused) as caught:
        EngineChange(**words)
    assert caught.value.code == code


def test_an_engine_on_hold_is_offered_nothing_until_it_is_let_go(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    change(house, engine.engine, hold_reason="trade fair")
    answer = house.poll(engine)
    assert (answer.code, answer.order) == ("engine-held", None)
    assert "trade fair" in answer.text
    assert "1.0.0" in answer.text
    change(house, engine.engine, hold_reason="")
    assert house.poll(engine).order is not None


def test_an_order_reaches_an_engine_on_hold(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol()
    change(house, engine.engine, hold_reason="trade fair")
    ask = Ask(do="install", version="1.0.0")
    give_order(house.portal, engine.engine, ask, actor=ACTOR, now=house.now)
    assert house.poll(engine).code == "ordered"


def test_why_an_engine_on_hold_gets_nothing_is_explained(house: House) -> None:
    house.publish("1.0.0")
    engine = house.enrol().engine
    change(house, engine, hold_reason="trade fair")
    decision = explain(house.portal, engine, now=house.now)
    assert (decision.code, decision.target) == ("engine-held", None)
    assert [reason.code for reason in decision.reasons] == ["fits"]


def test_the_audit_tells_holds_and_notes_only_where_they_were_changed(house: House) -> None:
    engine = house.enrol().engine
    change(house, engine, hold_reason="trade fair", notes="  first line\r\nsecond line\n")
    with house.portal.database.read() as session:
        record = audit.list_audit(session)[-1]
    after = json.loads(record.after or "")
    assert (after["hold_reason"], after["notes"]) == ("trade fair", "first line\nsecond line")
    detail = engines.show_engine(house.portal, engine)
    assert (detail.hold_reason, detail.notes) == ("trade fair", "first line\nsecond line")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"notes": "x" * 2001}, "notes-unreadable"),
        ({"notes": "a\x1b[31mred"}, "notes-unreadable"),
        ({"hold_reason": "two\nlines"}, "reason-unreadable"),
        ({"hold_reason": "   "}, "reason-unreadable"),
    ],
)
def test_notes_and_reasons_that_others_could_not_read_are_refused(
    house: House, words: dict[str, str], code: str
) -> None:
    engine = house.enrol().engine
    with pytest.raises(Refused) as caught:
        change(house, engine, ANY_REVISION, **words)
    assert caught.value.code == code
