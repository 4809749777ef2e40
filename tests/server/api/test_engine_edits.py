"""Engines edited over HTTP: If-Match, filters, revocation."""

import json

import pytest
from werkzeug.test import TestResponse

from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest


def _patch(
    here: PortalUnderTest, engine: str, wanted: dict[str, object], if_match: str | None
) -> TestResponse:
    headers = {"Authorization": f"Bearer {here.token()}"}
    if if_match is not None:
        headers["If-Match"] = if_match
    return here.http.patch(f"/api/v1/engines/{engine}", json=wanted, headers=headers)


def _etag(here: PortalUnderTest, engine: str) -> str:
    return here.get(f"/api/v1/engines/{engine}", token=here.token()).headers["ETag"]


def test_an_engine_is_edited_from_the_revision_that_was_read(here: PortalUnderTest) -> None:
    engine = here.enrol().engine
    first = _etag(here, engine)
    answer = _patch(here, engine, {"group": "north"}, first)
    assert (answer.status_code, json.loads(answer.data)["group"]) == (200, "north")
    assert answer.headers["ETag"] == _etag(here, engine) != first


@pytest.mark.parametrize(
    ("if_match", "status", "code"),
    [
        (None, 428, "if-match-missing"),
        ('"99"', 412, "revision-outdated"),
        ('W/"0"', 412, "revision-outdated"),
        ("0", 412, "revision-outdated"),
        ("", 412, "revision-outdated"),
        ('"' + "9" * 5000 + '"', 412, "revision-outdated"),
    ],
)
def test_an_edit_from_nowhere_is_refused_with_what_to_do(
    here: PortalUnderTest, if_match: str | None, status: int, code: str
) -> None:
    engine = here.enrol().engine
    answer = _patch(here, engine, {"group": "north"}, if_match)
    told = json.loads(answer.data)
    assert (answer.status_code, told["code"], answer.content_type) == (
        status,
        code,
        "application/problem+json",
    )
    assert "If-Match" in told["detail"]
    assert json.loads(here.get(f"/api/v1/engines/{engine}", token=here.token()).data)["group"] == "default"


@pytest.mark.parametrize("if_match", ["*", '"7", "0"', ' "0" '])
def test_any_of_several_revisions_will_do(here: PortalUnderTest, if_match: str) -> None:
    engine = here.enrol().engine
    assert _patch(here, engine, {"channel": "beta"}, if_match).status_code == 200


@pytest.mark.parametrize(
    "wanted", [{"group": None}, {"group": "A B"}, {"state": "revoked"}, {"group": ["a"]}]
)
def test_what_cannot_be_edited_is_refused(here: PortalUnderTest, wanted: dict[str, object]) -> None:
    answer = _patch(here, here.enrol().engine, wanted, "*")
    assert (answer.status_code, json.loads(answer.data)["code"]) == (422, "fields-refused")


def test_an_unknown_engine_cannot_be_edited(here: PortalUnderTest) -> None:
    assert _patch(here, "eng_x", {"group": "north"}, "*").status_code == 404


def test_an_engine_revoked_over_http_is_shut_out(here: PortalUnderTest) -> None:
    joined = here.enrol()
    path = f"/api/v1/engines/{joined.engine}/revoke"
    told = [here.http.post(path, headers={"Authorization": f"Bearer {here.token()}"}) for _ in range(2)]
    assert [json.loads(answer.data)["state"] for answer in told] == ["revoked", "revoked"]
    assert here.post("/api/v1/poll", b"{}", token=here.engines[joined.engine]).status_code == 401


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("group=north", 1),
        ("group=default", 2),
        ("state=revoked", 1),
        ("state=enrolled&group=default", 1),
        ("product=sample-engine", 3),
        ("product=other", 0),
        ("channel=stable", 3),
    ],
)
def test_engines_are_found_by_what_they_are(here: PortalUnderTest, query: str, count: int) -> None:
    first, second, _ = (here.enrol().engine for _ in range(3))
    _patch(here, first, {"group": "north"}, "*")
    here.http.post(f"/api/v1/engines/{second}/revoke", headers={"Authorization": f"Bearer {here.token()}"})
    found = json.loads(here.get(f"/api/v1/engines?{query}", token=here.token()).data)["engines"]
    assert len(found) == count


def test_the_next_page_keeps_the_filters(here: PortalUnderTest) -> None:
    for _ in range(3):
        here.enrol()
    answer = here.get("/api/v1/engines?limit=2&group=default", token=here.token())
    link = answer.headers["Link"].partition(">")[0].removeprefix("<")
    assert "group=default" in link
    assert len(json.loads(here.get(link, token=here.token()).data)["engines"]) == 1


def test_changes_are_found_in_the_audit_over_http(here: PortalUnderTest) -> None:
    engine = here.enrol().engine
    _patch(here, engine, {"group": "north"}, "*")
    viewer = here.token(Scope.VIEWER)
    answer = here.get(f"/api/v1/audit?subject={engine}&limit=1", token=viewer)
    (entry,) = json.loads(answer.data)["entries"]
    assert (entry["action"], entry["before"]["group"], entry["after"]["group"]) == (
        "engine-changed",
        "default",
        "north",
    )
    assert entry["address"] == "127.0.0.1"
    link = answer.headers["Link"].partition(">")[0].removeprefix("<")
    (entry,) = json.loads(here.get(link, token=viewer).data)["entries"]
    assert entry["action"] == "engine-enrolled"


def test_an_audit_entry_names_the_request_that_made_it(here: PortalUnderTest) -> None:
    engine = here.enrol().engine
    answer = _patch(here, engine, {"group": "north"}, "*")
    listed = here.get("/api/v1/audit?action=engine-changed", token=here.token())
    assert json.loads(listed.data)["entries"][0]["request"] == answer.headers["X-Request-ID"]
