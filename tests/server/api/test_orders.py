"""Orders, holds and emergency stops over HTTP."""

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from engineshed_packages.orders import verify_order
from engineshed_packages.protocol import PollAnswer
from engineshed_server.db import audit
from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest, poll_of
from tests.vendor import PRODUCT


def send(here: PortalUnderTest, path: str, **values: object) -> TestResponse:
    return here.post(f"/api/v1{path}", json.dumps(values).encode(), token=here.token())


def read(here: PortalUnderTest, path: str) -> Any:  # what JSON holds, to be compared with literals
    answer = here.get(f"/api/v1{path}", token=here.token(Scope.VIEWER))
    assert answer.status_code == 200, answer.text
    return json.loads(answer.data)


def poll(here: PortalUnderTest, engine: str, version: str = "1.0.0") -> PollAnswer:
    answer = here.post(
        "/api/v1/poll", poll_of(engine, version=version).to_bytes(), token=here.engines[engine]
    )
    assert answer.status_code == 200, answer.text
    return PollAnswer.from_bytes(answer.data)


def test_an_order_is_made_shown_and_sent(here: PortalUnderTest) -> None:
    joined = here.enrol()
    answer = send(here, f"/engines/{joined.engine}/orders", do="stop", message="disk full")
    made = json.loads(answer.data)
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/v1/orders/{made['order']}")
    assert (made["do"], made["state"], made["seq"], made["origin"]) == ("stop", "open", None, "admin")
    assert made["given_by"].startswith("token:tok_")
    sent = poll(here, joined.engine)
    assert sent.order is not None
    assert verify_order(sent.order, joined.order_keys).order.id == made["order"]
    assert read(here, f"/orders/{made['order']}") == {**made, "seq": 1}
    assert read(here, f"/engines/{joined.engine}/orders")["orders"] == [{**made, "seq": 1}]


def test_an_install_carries_all_it_may_say(here: PortalUnderTest) -> None:
    here.publish("0.9.0")
    joined = here.enrol()
    window = {"opens": "2099-01-01T22:00:00Z", "closes": "2099-01-02T04:00:00Z"}
    answer = send(
        here,
        f"/engines/{joined.engine}/orders",
        do="install",
        version="0.9.0",
        allow_downgrade=True,
        offline_start=True,
        although_held=True,
        window=window,
        start_before="2099-01-02T04:00:00Z",
        accept_within_s=3600,
        message="",
    )
    assert (answer.status_code, json.loads(answer.data)["accept_before"]) == (201, window["closes"])
    envelope = poll(here, joined.engine).order
    assert envelope is not None
    order = verify_order(envelope, joined.order_keys).order
    assert order.window is not None
    assert (order.allow_downgrade, order.offline_start, order.window.to_dict()) == (True, True, window)


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"do": "install", "version": "7.0"}, 404, "release-unknown"),
        ({"do": "install", "version": "0.9.0"}, 409, "not-newer"),
        ({"do": "install"}, 422, "order-senseless"),
        ({"do": "dance"}, 422, "fields-refused"),
        ({}, 422, "fields-refused"),
        ({"do": "stop", "fast": True}, 422, "fields-refused"),
        ({"do": "stop", "window": {"opens": "now", "closes": "then"}}, 422, "fields-refused"),
        (
            {"do": "stop", "window": {"opens": "2099-01-02T00:00:00Z", "closes": "2099-01-01T00:00:00Z"}},
            422,
            "order-senseless",
        ),
        ({"do": "stop", "accept_within_s": 1}, 422, "fields-refused"),
        ({"do": "stop", "message": "a\nb"}, 422, "fields-refused"),
    ],
)
def test_what_cannot_be_ordered_is_refused_with_its_code(
    here: PortalUnderTest, values: dict[str, object], status: int, code: str
) -> None:
    here.publish("0.9.0")
    answer = send(here, f"/engines/{here.enrol().engine}/orders", **values)
    assert (answer.status_code, json.loads(answer.data)["code"]) == (status, code)


def test_nobody_but_an_admin_orders_stops_or_holds(here: PortalUnderTest) -> None:
    engine = here.enrol().engine
    for scope in (Scope.VIEWER, Scope.SUPPORT):
        for path in (f"/engines/{engine}/orders", "/orders", "/emergency-stops/on", "/emergency-stops/off"):
            assert here.post(f"/api/v1{path}", b"{}", token=here.token(scope)).status_code == 403


def test_an_unknown_engine_or_order_is_404(here: PortalUnderTest) -> None:
    answer = send(here, "/engines/eng_nobody/orders", do="stop")
    assert (answer.status_code, json.loads(answer.data)["code"]) == (404, "engine-unknown")
    for path in ("/engines/eng_nobody/orders", "/orders/ord_nothing"):
        assert here.get(f"/api/v1{path}", token=here.token()).status_code == 404


def test_several_engines_are_told_apart(here: PortalUnderTest) -> None:
    one, two = here.enrol().engine, here.enrol().engine
    answer = send(here, "/orders", engines=[one, "eng_nobody", two], order={"do": "restart"})
    told = json.loads(answer.data)["orders"]
    assert [(entry["engine"], entry["code"], entry["order"] is None) for entry in told] == [
        (one, None, False),
        ("eng_nobody", "engine-unknown", True),
        (two, None, False),
    ]
    answer = send(here, "/orders", group="default", order={"do": "stop"})
    assert {entry["engine"] for entry in json.loads(answer.data)["orders"]} == {one, two}
    for values in ({}, {"engines": [one], "group": "default"}):
        assert send(here, "/orders", order={"do": "stop"}, **values).status_code == 422
    assert send(here, "/orders", group="nobody", order={"do": "stop"}).status_code == 404


def test_orders_are_listed_in_pages_newest_first(here: PortalUnderTest) -> None:
    engine = here.enrol().engine
    for do in ("stop", "start", "restart"):
        send(here, f"/engines/{engine}/orders", do=do)
    found, path = [], f"/api/v1/engines/{engine}/orders?limit=2"
    while path:
        answer = here.get(path, token=here.token())
        found += [order["do"] for order in json.loads(answer.data)["orders"]]
        path = answer.headers.get("Link", "").partition(">")[0].lstrip("<")
    assert found == ["restart", "start", "stop"]
    answer = here.get(f"/api/v1/engines/{engine}/orders?cursor=WyJhIiwiYiIsImMiXQ", token=here.token())
    assert (answer.status_code, json.loads(answer.data)["code"]) == (400, "parameter-unreadable")


def test_a_release_is_held_from_the_revision_that_was_read(here: PortalUnderTest) -> None:
    here.publish("1.1.0")
    path = f"/api/v1/releases/{PRODUCT}/1.1.0"
    first = here.get(path, token=here.token()).headers["ETag"]

    def hold(held: bool, etag: str | None) -> TestResponse:
        headers = {"Authorization": f"Bearer {here.token()}"} | ({} if etag is None else {"If-Match": etag})
        return here.http.patch(path, json={"held": held, "reason": "shaky"}, headers=headers)

    assert hold(True, None).status_code == 428
    done = hold(True, first)
    shown = json.loads(done.data)
    assert (done.status_code, shown["held"], shown["hold_reason"]) == (200, True, "shaky")
    assert poll(here, here.enrol().engine).order is None
    assert hold(False, first).status_code == 412
    assert json.loads(hold(False, done.headers["ETag"]).data)["held"] is False
    with here.portal.database.read() as session:
        rows = [row for row in audit.list_audit(session) if row.action.startswith("release-")]
    assert [row.action for row in rows if row.action in ("release-held", "release-let-go")] == [
        "release-held",
        "release-let-go",
    ]
    assert all(row.actor.request and row.actor.address for row in rows[-2:])


def test_a_stop_is_turned_on_listed_and_turned_off(here: PortalUnderTest) -> None:
    here.publish("1.1.0")
    engine = here.enrol().engine
    on = send(here, "/emergency-stops/on", product=PRODUCT, reason="it burns")
    told = json.loads(on.data)
    assert (on.status_code, told["changed"], told["engines"], told["others"]) == (200, True, 1, [])
    assert poll(here, engine).code == "emergency-stop"
    (listed,) = read(here, "/emergency-stops")["stops"]
    assert (listed["product"], listed["channel"], listed["reason"]) == (PRODUCT, None, "it burns")
    wrong = send(here, "/emergency-stops/off", reason="done")
    assert (wrong.status_code, json.loads(wrong.data)["code"]) == (404, "stop-unknown")
    off = send(here, "/emergency-stops/off", product=PRODUCT, channel=None, reason="done")
    assert off.status_code == 200
    assert poll(here, engine).code == "offer"
    assert read(here, "/emergency-stops")["stops"] == []


def test_stops_are_listed_in_pages(here: PortalUnderTest) -> None:
    for product in ("a", "b", "c"):
        send(here, "/emergency-stops/on", product=product, reason="x")
    answer = here.get("/api/v1/emergency-stops?limit=2", token=here.token())
    assert [one["product"] for one in json.loads(answer.data)["stops"]] == ["a", "b"]
    path = answer.headers["Link"].partition(">")[0].lstrip("<")
    assert [one["product"] for one in json.loads(here.get(path, token=here.token()).data)["stops"]] == ["c"]


@pytest.mark.parametrize("values", [{}, {"reason": ""}, {"reason": "x", "product": "No Product"}])
def test_a_stop_that_says_nothing_is_refused(here: PortalUnderTest, values: dict[str, object]) -> None:
    assert send(here, "/emergency-stops/on", **values).status_code == 422
