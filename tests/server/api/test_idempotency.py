"""Idempotency-Key over HTTP."""

import json

import pytest
from werkzeug.test import TestResponse

from tests.server.api.conftest import PortalUnderTest

BODY = b'{"name": "ci", "scope": "viewer"}'


def _send(here: PortalUnderTest, token: str, key: str, body: bytes = BODY) -> TestResponse:
    return here.post("/api/v1/tokens", body, token=token, **{"Idempotency-Key": key})


def _count(here: PortalUnderTest, token: str) -> int:
    found = json.loads(here.get("/api/v1/tokens", token=token).data)["tokens"]
    return len([one for one in found if one["name"] == "ci"])


def test_a_request_sent_again_gets_the_same_answer_and_says_so(here: PortalUnderTest) -> None:
    token = here.token()
    first, again = _send(here, token, "key-1"), _send(here, token, "key-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.data, again.headers["Location"]) == (first.data, first.headers["Location"])
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert first.headers["X-Request-ID"] != again.headers["X-Request-ID"]
    assert again.headers["Cache-Control"] == "no-store"
    assert _count(here, token) == 1


def test_without_a_key_it_is_done_each_time(here: PortalUnderTest) -> None:
    token = here.token()
    for _ in range(2):
        here.post("/api/v1/tokens", BODY, token=token)
    assert _count(here, token) == 2


def test_a_key_used_for_another_request_is_refused(here: PortalUnderTest) -> None:
    token = here.token()
    _send(here, token, "key-1")
    answer = _send(here, token, "key-1", BODY.replace(b"viewer", b"support"))
    assert (answer.status_code, json.loads(answer.data)["code"]) == (422, "idempotency-key-reused")


def test_a_refused_request_may_be_mended_under_its_key(here: PortalUnderTest) -> None:
    token = here.token()
    assert _send(here, token, "key-1", b'{"name": "ci"}').status_code == 422
    assert _send(here, token, "key-1").status_code == 201


def test_who_may_not_ask_learns_nothing_of_the_key(here: PortalUnderTest) -> None:
    _send(here, here.token(), "key-1")
    made = _send(here, here.token(), "key-1")
    assert "Idempotency-Replayed" not in made.headers


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "ä"])
def test_a_key_that_cannot_be_one_is_refused(here: PortalUnderTest, key: str) -> None:
    answer = _send(here, here.token(), key)
    assert (answer.status_code, json.loads(answer.data)["code"]) == (400, "idempotency-key-unreadable")


def test_what_was_done_with_a_key_is_in_the_answer_and_in_force(here: PortalUnderTest) -> None:
    joined = here.enrol()
    path = f"/api/v1/engines/{joined.engine}/revoke"
    headers = {"Authorization": f"Bearer {here.token()}", "Idempotency-Key": "key-1"}
    answer = here.http.post(path, headers=headers)
    assert json.loads(answer.data)["state"] == "revoked"
    assert here.post("/api/v1/poll", b"{}", token=here.engines[joined.engine]).status_code == 401
