"""Enrolment tokens and the approval queue over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from engineshed_packages.enrolment import EnrolAnswer, EnrolLine, EnrolRequest, TokenAnswer, TokenRequest
from engineshed_packages.protocol import PollAnswer
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version
from engineshed_server.db import audit
from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest, poll_of
from tests.vendor import PRODUCT

Values = dict[str, Any]  # JSON, to be compared with literals


def ask(
    here: PortalUnderTest, path: str, values: Values | None = None, *, scope: Scope = Scope.ADMIN
) -> tuple[int, Values]:
    body = b"" if values is None else json.dumps(values).encode()
    answer = here.post(f"/api/v1{path}", body, token=here.token(scope))
    return answer.status_code, json.loads(answer.data)


def get(here: PortalUnderTest, path: str) -> Values:
    found: Values = json.loads(here.get(f"/api/v1{path}", token=here.token(Scope.VIEWER)).data)
    return found


def join(here: PortalUnderTest, **terms: object) -> EnrolAnswer:
    status, made = ask(here, "/enrol-tokens", terms)
    assert status == 201, made
    request = EnrolRequest(
        token=EnrolLine.parse(made["line"]).token,
        product=PRODUCT,
        platform="linux-x86_64",
        version=Version.parse("1.0.0"),
        host_name="host-1",
        updater_version="0.1.0",
    )
    answer = here.post("/api/v1/enrol", request.to_bytes())
    assert answer.status_code == 200, answer.text
    return EnrolAnswer.from_bytes(answer.data)


def access_token(here: PortalUnderTest, engine: EnrolAnswer) -> str:
    request = TokenRequest(engine=engine.engine, secret=engine.secret)
    return TokenAnswer.from_bytes(here.post("/api/v1/token", request.to_bytes()).data).access_token


def test_a_token_is_made_shown_listed_and_revoked(here: PortalUnderTest) -> None:
    answer = here.post(
        "/api/v1/enrol-tokens",
        json.dumps({"name": "ci", "networks": ["10.0.0.0/8"], "uses": 5}).encode(),
        token=here.token(),
    )
    made = answer.json
    assert made is not None
    line = made.pop("line")
    assert answer.headers["Location"] == f"/api/v1/enrol-tokens/{made['id']}"
    assert EnrolLine.parse(line).token not in json.dumps(made)
    assert get(here, f"/enrol-tokens/{made['id']}") == made
    assert get(here, "/enrol-tokens")["tokens"] == [made]
    status, revoked = ask(here, f"/enrol-tokens/{made['id']}/revoke")
    assert (status, revoked["state"]) == (200, "revoked")


@pytest.mark.parametrize(
    ("terms", "status", "code"),
    [
        ({"networks": ["10.0.0.1/8"]}, 422, "network-unreadable"),
        ({"networks": ["10.0.0.0/8"] * 21}, 422, "fields-refused"),
        ({"uses": 0}, 422, "fields-refused"),
        ({"uses": 1.5}, 422, "fields-refused"),
        ({"needs_approval": "yes"}, 422, "fields-refused"),
        ({"group": "A b"}, 422, "fields-refused"),
        ({"replaces": "eng_x"}, 404, "engine-unknown"),
        ({"replace": "eng_x"}, 422, "fields-refused"),
    ],
)
def test_terms_that_make_no_sense_are_refused(
    here: PortalUnderTest, terms: Values, status: int, code: str
) -> None:
    found = ask(here, "/enrol-tokens", terms)
    assert (found[0], found[1]["code"]) == (status, code)


@pytest.mark.parametrize("scope", [Scope.VIEWER, Scope.SUPPORT])
@pytest.mark.parametrize("path", ["/enrol-tokens", "/engines/approve", "/engines/reject"])
def test_only_admins_let_engines_in(here: PortalUnderTest, scope: Scope, path: str) -> None:
    status, problem = ask(here, path, {}, scope=scope)
    assert (status, problem["code"]) == (403, "api-token-scope")


def test_who_waits_polls_and_gets_nothing_else(here: PortalUnderTest) -> None:
    here.publish("1.1.0")
    engine = join(here, needs_approval=True)
    assert engine.waiting
    token = access_token(here, engine)
    answer = here.post("/api/v1/poll", poll_of(engine.engine).to_bytes(), token=token)
    assert PollAnswer.from_bytes(answer.data).code == "waiting-for-approval"
    package = get(here, f"/releases/{PRODUCT}/1.1.0")["packages"][0]
    path = f"/repo/v1/vendor/targets/{package['download_name']}"
    for refused in (here.get(path, token=token), here.post("/api/v1/reports", b"{}", token=token)):
        assert (refused.status_code, json.loads(refused.data)["code"]) == (403, "engine-waiting")
    status, shown = ask(here, f"/engines/{engine.engine}/approve")
    assert (status, shown["state"]) == (200, "enrolled")
    assert here.get(path, token=token).status_code == 200
    answer = here.post("/api/v1/poll", poll_of(engine.engine).to_bytes(), token=token)
    assert PollAnswer.from_bytes(answer.data).order is not None


def test_many_are_approved_at_once_and_the_audit_says_by_whom(here: PortalUnderTest) -> None:
    engines = sorted(join(here, needs_approval=True).engine for _ in range(3))
    assert [one["engine"] for one in get(here, "/engines?state=waiting")["engines"]] == engines
    assert ask(here, "/engines/approve", {"engines": engines}) == (200, {"engines": engines})
    assert ask(here, "/engines/approve", {"engines": engines}) == (200, {"engines": []})
    with here.portal.database.read() as session:
        told = [one for one in audit.list_audit(session) if one.action == "engine-approved"]
    assert [one.subject for one in told] == engines
    assert {(one.actor.name[:10], one.actor.address, one.actor.request is None) for one in told} == {
        ("token:tok_", "127.0.0.1", False)
    }


def test_one_that_cannot_be_decided_on_is_named(here: PortalUnderTest) -> None:
    waiting, enrolled = join(here, needs_approval=True).engine, join(here).engine
    status, problem = ask(here, "/engines/reject", {"engines": [waiting, enrolled]})
    assert (status, problem["code"]) == (409, "engine-state")
    assert enrolled in problem["detail"]
    assert get(here, f"/engines/{waiting}")["state"] == "waiting"


@pytest.mark.parametrize("verb", ["approve", "reject", "revoke"])
def test_an_engine_nobody_knows_is_told(here: PortalUnderTest, verb: str) -> None:
    status, problem = ask(here, f"/engines/nobody/{verb}")
    assert (status, problem["code"]) == (404, "engine-unknown")


def test_an_engine_is_revoked_and_another_host_takes_its_place(here: PortalUnderTest) -> None:
    engine = join(here)
    old = access_token(here, engine)
    assert ask(here, f"/engines/{engine.engine}/revoke")[1]["state"] == "revoked"
    refused = here.post("/api/v1/poll", poll_of(engine.engine).to_bytes(), token=old)
    assert (refused.status_code, json.loads(refused.data)["code"]) == (401, "engine-revoked")
    again = join(here, replaces=engine.engine)
    assert again.engine == engine.engine
    refused = here.post("/api/v1/poll", poll_of(engine.engine).to_bytes(), token=old)
    assert (refused.status_code, json.loads(refused.data)["code"]) == (401, "engine-replaced")
    polled = here.post("/api/v1/poll", poll_of(again.engine).to_bytes(), token=access_token(here, again))
    assert polled.status_code == 200


def test_a_state_that_does_not_exist_is_told(here: PortalUnderTest) -> None:
    answer = here.get("/api/v1/engines?state=asleep", token=here.token())
    assert (answer.status_code, json.loads(answer.data)["code"]) == (400, "parameter-unreadable")


def test_two_hosts_are_shown_with_names_addresses_and_times(here: PortalUnderTest) -> None:
    engine = join(here)
    token = access_token(here, engine)
    start = datetime.now(UTC)
    for minute, boot in enumerate("abab"):
        with time_machine.travel(start + timedelta(minutes=minute)):
            poll = poll_of(engine.engine, boot=boot, host_name=f"host-{boot}")
            here.post("/api/v1/poll", poll.to_bytes(), token=token)
            here.portal.presence.flush(here.portal.database)
    shown = get(here, f"/engines/{engine.engine}")
    assert (shown["two_hosts"], shown["two_hosts_since"]) == (
        True,
        format_time(start + timedelta(minutes=3)),
    )
    assert [(one["host_name"], one["address"]) for one in shown["hosts"]] == [
        ("host-a", "127.0.0.1"),
        ("host-b", "127.0.0.1"),
    ]
    with here.portal.database.read() as session:
        told = [one for one in audit.list_audit(session) if one.action == "engine-on-two-hosts"]
    assert [(one.subject, one.actor.address) for one in told] == [(engine.engine, "127.0.0.1")]
