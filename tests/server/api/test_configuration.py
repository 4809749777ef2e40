"""What engines are to know of the portal, over HTTP."""

import json

import pytest
from werkzeug.test import TestResponse

from engineshed_packages.orders import verify_order
from engineshed_packages.protocol import PollAnswer
from tests.server.api.conftest import PortalUnderTest, poll_of

PATH = "/api/v1/configuration"


def _patch(here: PortalUnderTest, portals: list[str], if_match: str | None) -> TestResponse:
    headers = {"Authorization": f"Bearer {here.token()}"} | (
        {} if if_match is None else {"If-Match": if_match}
    )
    return here.http.patch(PATH, json={"portals": portals}, headers=headers)


def test_addresses_are_changed_from_what_was_read_and_reach_the_engine(here: PortalUnderTest) -> None:
    joined = here.enrol()
    read = here.get(PATH, token=here.token())
    before = json.loads(read.data)
    assert (before["number"], before["engines"], before["behind"]) == (1, 1, 0)
    assert before["order_key"] == joined.order_keys[0].fingerprint
    assert _patch(here, ["https://new.example"], None).status_code == 428
    changed = _patch(here, ["https://new.example"], read.headers["ETag"])
    after = json.loads(changed.data)
    assert (changed.status_code, after["portals"], after["behind"]) == (200, ["https://new.example"], 1)
    assert _patch(here, ["https://other.example"], read.headers["ETag"]).status_code == 412
    poll = here.post("/api/v1/poll", poll_of(joined.engine).to_bytes(), token=here.engines[joined.engine])
    answer = PollAnswer.from_bytes(poll.data)
    assert (answer.code, answer.order is None) == ("configure", False)
    assert answer.order is not None
    order = verify_order(answer.order, joined.order_keys).order
    assert (order.do, order.next_portals) == ("configure", ("https://new.example",))


@pytest.mark.parametrize("portals", [[], ["ftp://x"], ["https://a", "https://a/"], ["https://a"] * 9])
def test_addresses_that_make_no_sense_are_refused(here: PortalUnderTest, portals: list[str]) -> None:
    assert _patch(here, portals, "*").status_code == 422
    assert json.loads(here.get(PATH, token=here.token()).data)["number"] == 1
