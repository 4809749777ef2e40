"""API tokens over HTTP."""

import json
from datetime import UTC, datetime, timedelta

import time_machine

from engineshed_server.db import audit
from tests.server.api.conftest import PortalUnderTest


def _make(here: PortalUnderTest, **wanted: object) -> dict[str, str]:
    body = json.dumps({"name": "ci", "scope": "viewer", **wanted}).encode()
    answer = here.post("/api/v1/tokens", body, token=here.token())
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = json.loads(answer.data)
    assert answer.headers["Location"] == f"/api/v1/tokens/{made['id']}"
    return made


def test_a_token_made_over_http_works_and_is_shown_once(here: PortalUnderTest) -> None:
    made = _make(here)
    assert here.get("/api/v1/engines", token=made["token"]).status_code == 200
    shown = here.get(f"/api/v1/tokens/{made['id']}", token=here.token())
    assert made["token"] not in shown.text
    assert json.loads(shown.data)["name"] == "ci"


def test_a_revoked_token_is_refused(here: PortalUnderTest) -> None:
    made = _make(here)
    path = f"/api/v1/tokens/{made['id']}/revoke"
    told = [json.loads(here.http.post(path, headers=_as(here.token())).data) for _ in range(2)]
    assert told[0]["revoked"] is not None
    assert told[0] == told[1]
    assert here.get("/api/v1/engines", token=made["token"]).status_code == 401


def test_a_token_ends_by_itself(here: PortalUnderTest) -> None:
    made = _make(here, expires_s=60)
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=61)):
        answer = here.get("/api/v1/engines", token=made["token"])
    assert (answer.status_code, json.loads(answer.data)["code"]) == (401, "api-token-expired")


def test_tokens_are_listed_a_page_at_a_time(here: PortalUnderTest) -> None:
    made = [_make(here)["id"] for _ in range(3)]
    path, seen = "/api/v1/tokens?limit=2", []
    while path:
        answer = here.get(path, token=here.token())
        seen += [one["id"] for one in json.loads(answer.data)["tokens"]]
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert [one for one in seen if one in made] == made


def test_who_made_a_token_from_where_is_in_the_audit(here: PortalUnderTest) -> None:
    made = _make(here)
    with here.portal.database.read() as session:
        record = audit.list_audit(session)[-1]
    assert (record.action, record.subject, record.actor.address) == (
        "api-token-created",
        made["id"],
        "127.0.0.1",
    )
    assert record.actor.name.startswith("token:tok_")
    assert record.actor.request is not None


def _as(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
