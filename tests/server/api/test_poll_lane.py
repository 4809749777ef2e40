"""The fast lane of the poll says what the route says, and leaves to the route what it does not know."""

import json
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from engineshed_packages.enrolment import EnrolAnswer
from engineshed_server.api.poll_request import PollRequest
from engineshed_server.api.request_ids import request_id
from engineshed_server.app import poll_lane
from tests.server.api.conftest import PortalUnderTest, poll_of, portal_under_test
from tests.vendor import Vendor

WITH_CHARSET = {"Content-Type": "application/json; charset=utf-8"}  # which only the route understands


class Counting:
    """The application behind the lane; counts what reaches it."""

    def __init__(self, app: Flask) -> None:
        lane = poll_lane(app)
        self._route, self.count = lane._application, 0
        lane._application = self

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.count += 1
        return self._route(environ, start_response)


@pytest.fixture
def behind(here: PortalUnderTest) -> Counting:
    return Counting(here.http.application)


def ask(here: PortalUnderTest, engine: EnrolAnswer, **headers: str) -> TestResponse:
    headers["Authorization"] = f"Bearer {here.engines[engine.engine]}"
    return here.post("/api/v1/poll", poll_of(engine.engine).to_bytes(), **headers)


def words(answer: TestResponse) -> dict[str, object]:
    values = json.loads(answer.data)
    assert isinstance(values, dict)
    return {name: value for name, value in values.items() if name not in ("server_time", "instance")}


def test_a_poll_without_news_is_answered_by_the_lane_alone_as_the_route_would(
    here: PortalUnderTest, behind: Counting
) -> None:
    here.publish("1.0.0")
    engine = here.enrol()
    before = behind.count
    by_lane = ask(here, engine)
    assert behind.count == before
    by_route = ask(here, engine, **WITH_CHARSET)
    assert behind.count == before + 1
    assert (by_lane.status_code, words(by_lane)) == (by_route.status_code, words(by_route))
    assert {*by_lane.headers.keys()} == {*by_route.headers.keys()}
    assert words(by_lane)["code"] == "up-to-date"


def test_an_order_comes_from_the_route(here: PortalUnderTest, behind: Counting) -> None:
    here.publish("1.1.0")
    engine = here.enrol("1.0.0")
    before = behind.count
    answer = ask(here, engine)
    assert behind.count == before + 1
    assert words(answer)["code"] == "offer"
    assert "order" in words(answer)


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"{", {}, "json-unreadable"),
        (b"{}", {}, "poll-unreadable"),
        (b" " * 40_000, {}, "json-too-large"),
        (None, {"Content-Type": "text/plain"}, "media-type-not-supported"),
        (None, {"Content_Encoding": "gzip"}, "encoding-not-supported"),
        (None, {"Authorization": "Bearer x.y.z"}, "access-token-refused"),
        (None, {"Authorization": "Basic eDp5"}, "token-missing"),
    ],
)
def test_what_is_wrong_is_told_by_the_route(
    here: PortalUnderTest, behind: Counting, body: bytes | None, headers: dict[str, str], code: str
) -> None:
    engine = here.enrol()
    before = behind.count
    sent = poll_of(engine.engine).to_bytes() if body is None else body
    headers = {"Authorization": f"Bearer {here.engines[engine.engine]}", **headers}
    answer = here.post("/api/v1/poll", sent, **headers)
    assert behind.count == before + 1
    assert words(answer)["code"] == code
    assert answer.content_type == "application/problem+json"


def test_a_body_that_is_cut_off_is_told_by_the_route(here: PortalUnderTest, behind: Counting) -> None:
    engine = here.enrol()
    body = poll_of(engine.engine).to_bytes()
    length = str(len(body) + 1)
    headers = {"Authorization": f"Bearer {here.engines[engine.engine]}", "Content-Type": "application/json"}
    cut = {"CONTENT_LENGTH": length}
    answer = here.http.post("/api/v1/poll", data=body, headers=headers, environ_overrides=cut)
    assert words(answer)["code"] == "body-truncated"


def test_the_request_id_that_was_sent_comes_back_and_is_forgotten(
    here: PortalUnderTest, behind: Counting
) -> None:
    engine = here.enrol()
    before = behind.count
    answer = ask(here, engine, X_Request_ID="from-the-engine-1")
    assert behind.count == before
    assert answer.headers["X-Request-ID"] == "from-the-engine-1"
    assert request_id() is None


def test_a_heartbeat_is_noted_by_the_lane(here: PortalUnderTest, behind: Counting) -> None:
    engine = here.enrol()
    before = behind.count
    ask(here, engine)
    assert behind.count == before
    assert here.portal.presence.flush(here.portal.database) == 1


def at_once(here: PortalUnderTest, engine: EnrolAnswer) -> tuple[list[tuple[str, str]], bytes] | None:
    request = PollRequest(
        here.engines[engine.engine], poll_of(engine.engine).to_bytes(), sent_id=None, forwarded=None
    )
    return poll_lane(here.http.application).answer_at_once(request, peer="192.0.2.1")


def test_who_watches_the_connections_is_given_the_same_answer(here: PortalUnderTest) -> None:
    engine = here.enrol()
    assert at_once(here, engine) is None  # its token was not verified before
    by_lane = ask(here, engine)
    answered = at_once(here, engine)
    assert answered is not None
    headers, body = answered
    assert {name for name, _ in headers} == {*by_lane.headers.keys()}
    assert json.loads(body)["code"] == words(by_lane)["code"]
    assert request_id() is None


def test_news_are_left_to_a_thread(here: PortalUnderTest) -> None:
    engine = here.enrol()
    ask(here, engine)
    assert at_once(here, engine) is not None
    here.publish("1.1.0")
    assert at_once(here, engine) is None


def test_a_poll_that_writes_a_line_is_left_to_a_thread(tmp_path: Path, vendor: Vendor) -> None:
    with portal_under_test(tmp_path, vendor, log__level="debug") as here:
        engine = here.enrol()
        ask(here, engine)
        assert at_once(here, engine) is None


def test_what_is_answered_at_once_is_counted_and_noted(here: PortalUnderTest) -> None:
    engine = here.enrol()
    ask(here, engine)
    here.portal.presence.flush(here.portal.database)
    before = here.portal.meters.expose(())
    at_once(here, engine)
    assert here.portal.meters.expose(()) != before
    assert here.portal.presence.flush(here.portal.database) == 1
