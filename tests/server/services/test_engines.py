from __future__ import annotations

import pytest

from engineshed_packages.ids import derived_id
from engineshed_packages.protocol import Attributes
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services import engines
from tests.server.portals import House


def test_engines_come_in_pages(house: House) -> None:
    ids = sorted(house.enrol().engine for _ in range(3))
    first = engines.list_engines(house.portal, limit=2)
    second = engines.list_engines(house.portal, limit=2, cursor=first.next_cursor)
    assert [line.engine_id for page in (first, second) for line in page.engines] == ids
    assert second.next_cursor is None


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_limit(house: House, limit: int) -> None:
    with pytest.raises(Refused) as caught:
        engines.list_engines(house.portal, limit=limit)
    assert caught.value.code == "page-limit"


def test_an_engine_that_never_polled_has_no_presence(house: House) -> None:
    line = engines.show_engine(house.portal, house.enrol().engine).line
    assert (line.seen, line.health, line.updater_state) == (None, None, None)


def test_an_engines_last_poll_is_shown(house: House) -> None:
    engine = house.enrol()
    attributes = Attributes(host_name="host", os="linux", tags={"room": "\\x1b" * 50})
    house.poll(engine, version="1.2.3", attributes=attributes)
    house.portal.presence.flush(house.portal.database)
    detail = engines.show_engine(house.portal, engine.engine)
    assert (detail.line.version, detail.line.seen, detail.line.health) == ("1.2.3", house.now, "good")
    assert detail.attributes == attributes


def test_two_hosts_on_one_identity_are_shown(house: House) -> None:
    engine = house.enrol()
    for boot in ("one", "two", "one", "two"):
        house.tick()
        house.poll(engine, boot=boot)
        house.portal.presence.flush(house.portal.database)
    assert engines.show_engine(house.portal, engine.engine).line.two_hosts


def test_an_updater_that_was_started_anew_is_one_host(house: House) -> None:
    engine = house.enrol()
    for boot in ("one", "one", "two", "two"):
        house.tick()
        house.poll(engine, boot=boot)
        house.portal.presence.flush(house.portal.database)
    assert not engines.show_engine(house.portal, engine.engine).line.two_hosts


def test_an_unknown_engine_is_not_found(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        engines.show_engine(house.portal, derived_id("eng", "nobody"))
    assert caught.value.code == "engine-unknown"


def test_an_unknown_engine_cannot_be_revoked(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        _revoke(house, derived_id("eng", "nobody"))
    assert caught.value.code == "engine-unknown"


def _revoke(house: House, engine_id: str) -> bool:
    return engines.revoke_engine(house.portal, engine_id, actor=Actor("test"), now=house.now)


def test_an_engine_is_revoked_once(house: House) -> None:
    engine = house.enrol()
    assert [_revoke(house, engine.engine), _revoke(house, engine.engine)] == [True, False]
    assert engines.show_engine(house.portal, engine.engine).line.state == "revoked"
    assert house.audited()[-2:] == ["engine-enrolled", "engine-revoked"]
