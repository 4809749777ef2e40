"""Groups and channels are made, counted, forgotten, and engines moved between them."""

from __future__ import annotations

import pytest

from engineshed_server.errors import Conflict, NotFound, Refused
from engineshed_server.services import engines, placing
from engineshed_server.services.engine_edits import EngineChange, change_engines
from tests.server.portals import ACTOR, House


def groups(house: House) -> dict[str, int]:
    return {one.name: one.engines for one in placing.list_groups(house.portal)}


def test_a_group_that_was_made_is_there_before_anybody_is_in_it(house: House) -> None:
    placing.create_group(house.portal, "north", actor=ACTOR, now=house.now)
    house.enrol()
    assert groups(house) == {"default": 1, "north": 0}
    assert house.audited().count("group-created") == 1


def test_a_channel_tells_its_engines_and_releases(house: House) -> None:
    house.publish("1.0.0")
    house.enrol()
    placing.create_channel(house.portal, "beta", actor=ACTOR, now=house.now)
    found = {one.name: (one.engines, one.releases) for one in placing.list_channels(house.portal)}
    assert found == {"stable": (1, 1), "beta": (0, 0)}


@pytest.mark.parametrize("name", ["north", "south"])
def test_a_group_is_made_once_also_when_engines_are_in_it_already(house: House, name: str) -> None:
    placing.create_group(house.portal, "north", actor=ACTOR, now=house.now)
    house.enrol(group="south")
    with pytest.raises(Conflict, match="already"):
        placing.create_group(house.portal, name, actor=ACTOR, now=house.now)


@pytest.mark.parametrize("name", ["", "North", "-north", "a" * 65, "<b>"])
def test_a_name_that_is_none_is_refused(house: House, name: str) -> None:
    for create in (placing.create_group, placing.create_channel):
        with pytest.raises(Refused):
            create(house.portal, name, actor=ACTOR, now=house.now)


def test_all_engines_of_a_group_are_moved_and_the_empty_one_is_forgotten(house: House) -> None:
    first, second = house.enrol(group="north").engine, house.enrol(group="north").engine
    other = house.enrol().engine
    with pytest.raises(Conflict, match="2 engines are in group north"):
        placing.forget_group(house.portal, "north", actor=ACTOR, now=house.now)
    change = EngineChange(group="south", channel="beta")
    assert placing.move_group(house.portal, "north", change=change, actor=ACTOR, now=house.now) == 2
    lines = [engines.show_engine(house.portal, one).line for one in (first, second, other)]
    assert [(one.group, one.channel) for one in lines] == [("south", "beta")] * 2 + [("default", "stable")]
    assert house.portal.snapshot.current().channel_of(first) == "beta"
    assert groups(house) == {"default": 1, "south": 2}
    assert house.audited().count("engine-changed") == 2


def test_what_nobody_made_is_not_forgotten(house: House) -> None:
    for forget in (placing.forget_group, placing.forget_channel):
        with pytest.raises(NotFound, match="there is no"):
            forget(house.portal, "north", actor=ACTOR, now=house.now)
    placing.create_channel(house.portal, "beta", actor=ACTOR, now=house.now)
    placing.forget_channel(house.portal, "beta", actor=ACTOR, now=house.now)
    assert [one.name for one in placing.list_channels(house.portal)] == ["stable"]


def test_of_several_engines_all_are_moved_or_none(house: House) -> None:
    engine = house.enrol().engine
    with pytest.raises(NotFound):
        change_engines(
            house.portal, [engine, "nothing"], change=EngineChange(group="n"), actor=ACTOR, now=house.now
        )
    assert engines.show_engine(house.portal, engine).line.group == "default"
