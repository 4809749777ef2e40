"""The engines' routes over HTTP: join, token, poll, report."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from engineshed_packages.enrolment import EnrolRequest, TokenRequest
from engineshed_packages.ids import new_id
from engineshed_packages.protocol import MAX_POLL_BYTES, Outcome, PollAnswer, Report, ReportAnswer
from engineshed_packages.versions import Version
from engineshed_server.domain.actors import Actor
from engineshed_server.services import engines
from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest, poll_of
from tests.vendor import PRODUCT


def _code(answer_data: bytes) -> object:
    return json.loads(answer_data)["code"]


def _report_of(engine: str) -> Report:
    now = datetime.now(UTC)
    return Report(
        attempt=new_id("att"),
        engine=engine,
        product=PRODUCT,
        outcome=Outcome.OK,
        code="ok",
        message="",
        from_version=Version.parse("1.0.0"),
        to_version=Version.parse("1.1.0"),
        version=Version.parse("1.1.0"),
        started=now,
        ended=now,
        updater_version="0.1.0",
        probed=True,
    )


def test_an_engine_joins_and_polls(here: PortalUnderTest) -> None:
    joined = here.enrol()
    answer = here.post("/api/v1/poll", poll_of(joined.engine).to_bytes(), token=here.engines[joined.engine])
    assert answer.status_code == 200
    assert PollAnswer.from_bytes(answer.data).order is None


def test_a_newer_release_is_ordered_at_the_next_poll(here: PortalUnderTest) -> None:
    joined = here.enrol("1.0.0")
    here.publish("1.1.0")
    answer = here.post("/api/v1/poll", poll_of(joined.engine).to_bytes(), token=here.engines[joined.engine])
    assert PollAnswer.from_bytes(answer.data).order is not None


def test_a_wrong_enrolment_token_is_refused(here: PortalUnderTest) -> None:
    wanted = EnrolRequest(
        token="wrong",
        product=PRODUCT,
        platform="linux-x86_64",
        version=None,
        host_name="h",
        updater_version="0.1.0",
    )
    answer = here.post("/api/v1/enrol", wanted.to_bytes())
    assert (answer.status_code, _code(answer.data)) == (401, "enrol-token-unknown")


def test_a_wrong_secret_is_refused(here: PortalUnderTest) -> None:
    joined = here.enrol()
    answer = here.post("/api/v1/token", TokenRequest(engine=joined.engine, secret="wrong").to_bytes())
    assert answer.status_code == 401


def test_a_poll_in_the_name_of_another_engine_is_refused(here: PortalUnderTest) -> None:
    one, other = here.enrol(), here.enrol()
    answer = here.post("/api/v1/poll", poll_of(other.engine).to_bytes(), token=here.engines[one.engine])
    assert (answer.status_code, _code(answer.data)) == (403, "engine-mismatch")


def test_a_revoked_engine_is_refused(here: PortalUnderTest) -> None:
    joined = here.enrol()
    engines.revoke_engine(here.portal, joined.engine, actor=Actor("test"), now=datetime.now(UTC))
    answer = here.post("/api/v1/poll", poll_of(joined.engine).to_bytes(), token=here.engines[joined.engine])
    assert (answer.status_code, _code(answer.data)) == (401, "engine-revoked")


def test_an_access_token_ends_after_half_an_hour(here: PortalUnderTest) -> None:
    joined = here.enrol()
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=31)):
        answer = here.post(
            "/api/v1/poll", poll_of(joined.engine).to_bytes(), token=here.engines[joined.engine]
        )
    assert answer.status_code == 401


def test_an_operators_token_is_no_engines_token(here: PortalUnderTest) -> None:
    joined = here.enrol()
    answer = here.post("/api/v1/poll", poll_of(joined.engine).to_bytes(), token=here.token(Scope.ADMIN))
    assert answer.status_code == 401


def test_a_report_is_recorded_once(here: PortalUnderTest) -> None:
    joined = here.enrol()
    body, token = _report_of(joined.engine).to_bytes(), here.engines[joined.engine]
    codes = [ReportAnswer.from_bytes(here.post("/api/v1/reports", body, token=token).data).code for _ in "12"]
    assert codes == ["recorded", "known"]


def test_unknown_fields_of_a_newer_engine_are_ignored(here: PortalUnderTest) -> None:
    joined = here.enrol()
    values = json.loads(poll_of(joined.engine).to_bytes())
    body = json.dumps({**values, "mood": "good", "nested": {"x": [1, 2]}}).encode()
    assert here.post("/api/v1/poll", body, token=here.engines[joined.engine]).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 411, "length-required"),
        (b"[]", 400, "json-unreadable"),
        (b'{"protocol": NaN}', 400, "json-unreadable"),
        (b'{"a":' * 10 + b"1" + b"}" * 10, 400, "poll-unreadable"),
        (b'{"a":' * 50_00 + b"1" + b"}" * 50_00, 400, "json-too-deep"),
        (b'{"a": 1, "a": 2}', 400, "json-unreadable"),
        (b"\xff\xfe{}", 400, "json-unreadable"),
        (b'{"protocol":1}', 400, "poll-unreadable"),
        (b" " * (MAX_POLL_BYTES + 1), 413, "json-too-large"),
    ],
)
def test_a_poll_that_cannot_be_read_is_refused(
    here: PortalUnderTest, body: bytes, status: int, code: str
) -> None:
    joined = here.enrol()
    answer = here.post("/api/v1/poll", body, token=here.engines[joined.engine])
    assert (answer.status_code, _code(answer.data)) == (status, code)


def test_a_host_name_with_control_characters_is_written_out(here: PortalUnderTest) -> None:
    joined = here.enrol()
    values = json.loads(poll_of(joined.engine).to_bytes())
    attributes = {"host_name": "evil\x1b[2J\r\nhost"}
    body = json.dumps({**values, "attributes": attributes}).encode()
    assert here.post("/api/v1/poll", body, token=here.engines[joined.engine]).status_code == 200
    here.portal.presence.flush(here.portal.database)
    shown = here.get(f"/api/v1/engines/{joined.engine}", token=here.token())
    assert json.loads(shown.data)["attributes"]["host_name"] == r"evil\x1b[2J\r\nhost"


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "Bearer a b", "Bearer " + "x" * 5000])
def test_a_request_without_a_usable_token_is_told_how_to_send_one(here: PortalUnderTest, header: str) -> None:
    answer = here.post("/api/v1/poll", b"{}", Authorization=header)
    assert (answer.status_code, _code(answer.data)) == (401, "token-missing")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_compressed_body_is_refused(here: PortalUnderTest) -> None:
    joined = here.enrol()
    answer = here.post("/api/v1/poll", b"{}", token=here.engines[joined.engine], Content_Encoding="gzip")
    assert (answer.status_code, _code(answer.data)) == (415, "encoding-not-supported")
