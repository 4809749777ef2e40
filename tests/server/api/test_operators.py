"""What operators read over HTTP."""

import json

import pytest

from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest, poll_of


def test_releases_are_listed_with_their_digests(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    here.publish("1.1.0")
    found = json.loads(here.get("/api/v1/releases", token=here.token(Scope.VIEWER)).data)["releases"]
    assert [one["version"] for one in found] == ["1.1.0", "1.0.0"]
    package = found[0]["packages"][0]
    assert (len(package["sha256"]), len(package["sha1"]), package["platform"]) == (64, 40, "any")


def test_releases_are_listed_a_page_at_a_time(here: PortalUnderTest) -> None:
    for version in ("1.2.0", "1.10.0", "1.9.0"):
        here.publish(version)
    token, path, seen = here.token(Scope.SUPPORT), "/api/v1/releases?limit=1", []
    while path:
        answer = here.get(path, token=token)
        (release,) = json.loads(answer.data)["releases"]
        seen.append(release["version"])
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert seen == ["1.10.0", "1.9.0", "1.2.0"]


def test_one_release_is_shown(here: PortalUnderTest) -> None:
    here.publish("1.0.0")
    answer = here.get("/api/v1/releases/sample-engine/1.0.0", token=here.token())
    assert json.loads(answer.data)["version"] == "1.0.0"


def test_an_unknown_release_is_not_found(here: PortalUnderTest) -> None:
    assert here.get("/api/v1/releases/sample-engine/9.9", token=here.token()).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/engines/eng_nobody",
        "/api/v1/engines/eng_nobody/orders",
        "/api/v1/orders/ord_none",
        "/api/v1/releases/sample-engine/9.9",
        "/api/v1/tokens/tok_none",
        "/api/v1/enrol-tokens/tok_none",
    ],
)
def test_what_is_not_there_is_said_with_where_to_look(here: PortalUnderTest, path: str) -> None:
    answer = here.get(path, token=here.token())
    problem = json.loads(answer.data)
    assert (answer.status_code, ": see " in problem["detail"]) == (404, True), problem


def test_a_token_that_is_not_good_is_refused_with_what_to_do(here: PortalUnderTest) -> None:
    for token, remedy in (
        ("nonsense", "have one made here"),
        (here.token(Scope.SUPPORT), "send one that has it"),
    ):
        assert remedy in json.loads(here.get("/api/v1/engines", token=token).data)["detail"]


def test_engines_are_listed_a_page_at_a_time(here: PortalUnderTest) -> None:
    joined = sorted(here.enrol().engine for _ in range(3))
    token, path, seen = here.token(), "/api/v1/engines?limit=2", []
    while path:
        answer = here.get(path, token=token)
        seen += [one["engine"] for one in json.loads(answer.data)["engines"]]
        link = answer.headers.get("Link", "")
        path = link.partition(">")[0].removeprefix("<")
    assert sorted(seen) == joined


def test_an_engine_is_shown_with_what_it_said(here: PortalUnderTest) -> None:
    joined = here.enrol("1.0.0")
    here.post("/api/v1/poll", poll_of(joined.engine).to_bytes(), token=here.engines[joined.engine])
    here.portal.presence.flush(here.portal.database)
    shown = json.loads(here.get(f"/api/v1/engines/{joined.engine}", token=here.token()).data)
    assert (shown["version"], shown["updater_state"], shown["attempts"]) == ("1.0.0", "IDLE", [])


def test_no_secret_of_an_engine_is_shown(here: PortalUnderTest) -> None:
    joined = here.enrol()
    shown = here.get(f"/api/v1/engines/{joined.engine}", token=here.token()).text
    assert joined.secret not in shown
    assert "secret" not in shown


def test_the_next_answer_is_explained(here: PortalUnderTest) -> None:
    joined = here.enrol("1.0.0")
    here.publish("1.1.0")
    told = json.loads(here.get(f"/api/v1/engines/{joined.engine}/explain", token=here.token()).data)
    assert (told["code"], told["version"]) == ("offer", "1.1.0")
    assert told["reasons"][0]["code"] == "fits"


@pytest.mark.parametrize("path", ["/api/v1/engines/eng_x", "/api/v1/engines/eng_x/explain"])
def test_an_unknown_engine_is_not_found(here: PortalUnderTest, path: str) -> None:
    assert here.get(path, token=here.token()).status_code == 404


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "parameter-unreadable"),
        ("limit=1001", "parameter-unreadable"),
        ("limit=-1", "parameter-unreadable"),
        ("limit=٣", "parameter-unreadable"),
        ("limti=5", "parameter-unknown"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(here: PortalUnderTest, query: str, code: str) -> None:
    answer = here.get(f"/api/v1/engines?{query}", token=here.token())
    assert (answer.status_code, json.loads(answer.data)["code"]) == (400, code)


@pytest.mark.parametrize("path", ["/api/v1/releases", "/api/v1/engines", "/api/v1/engines/x"])
def test_an_engines_token_is_no_operators_token(here: PortalUnderTest, path: str) -> None:
    joined = here.enrol()
    assert here.get(path, token=here.engines[joined.engine]).status_code == 401
