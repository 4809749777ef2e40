"""/metrics: who may read it, and what of requests is counted as what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from engineshed_packages.ids import new_id
from engineshed_server.services.api_tokens import Scope
from tests.server.api.conftest import PortalUnderTest, poll_of, portal_under_test
from tests.server.exposed import Exposed
from tests.server.portals import report_of
from tests.vendor import Vendor

AFAR = "203.0.113.9"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalUnderTest]:
    """One portal for all who only ask whether they are let in."""
    folder = tmp_path_factory.mktemp("door")
    with portal_under_test(folder, Vendor(folder)) as made:
        yield made


def exposed(here: PortalUnderTest) -> Exposed:
    answer = here.get("/metrics")
    assert (answer.status_code, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return Exposed(answer.data)


def asked(here: PortalUnderTest, peer: str, *, token: str | None = None, **headers: str) -> TestResponse:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return here.http.get("/metrics", environ_overrides={"REMOTE_ADDR": peer}, headers=named, buffered=True)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_host_reads_without_a_token(door: PortalUnderTest, peer: str) -> None:
    assert asked(door, peer).status_code == 200


def test_another_address_is_refused_with_a_problem_that_says_what_to_do(door: PortalUnderTest) -> None:
    answer = asked(door, AFAR)
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
    assert answer.json is not None
    assert answer.json["code"] == "monitor-unknown"
    assert "metrics.allow" in answer.json["detail"]


@pytest.mark.parametrize("scope", [Scope.VIEWER, Scope.ADMIN])
def test_an_operators_token_reads_from_anywhere(door: PortalUnderTest, scope: Scope) -> None:
    assert asked(door, AFAR, token=door.token(scope)).status_code == 200


def test_supports_token_does_not_read(door: PortalUnderTest) -> None:
    assert asked(door, AFAR, token=door.token(Scope.SUPPORT)).status_code == 403


def test_a_token_that_is_none_does_not_read(door: PortalUnderTest) -> None:
    answer = asked(door, AFAR, token="nonsense")
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")


def test_an_engines_token_does_not_read(door: PortalUnderTest) -> None:
    assert asked(door, AFAR, token=door.engines[door.enrol().engine]).status_code == 401


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded", "X_Real_IP"])
def test_who_comes_through_an_unknown_web_server_on_this_host_is_not_taken_for_this_host(
    door: PortalUnderTest, header: str
) -> None:
    assert asked(door, "127.0.0.1", **{header: "127.0.0.1"}).status_code == 401


@pytest.mark.parametrize(
    ("client", "status"), [("10.1.2.3", 200), (AFAR, 401), (f"10.1.2.3, {AFAR}", 401), ("127.0.0.1", 401)]
)
def test_behind_a_known_web_server_the_clients_address_counts(
    tmp_path: Path, vendor: Vendor, client: str, status: int
) -> None:
    settings = {"web__proxies": "127.0.0.1", "metrics__allow": "10.0.0.0/8"}
    with portal_under_test(tmp_path, vendor, **settings) as here:
        assert asked(here, "127.0.0.1", X_Forwarded_For=client).status_code == status


def test_with_nobody_allowed_this_host_needs_a_token_too(tmp_path: Path, vendor: Vendor) -> None:
    with portal_under_test(tmp_path, vendor, metrics__allow="") as here:
        assert asked(here, "127.0.0.1").status_code == 401
        assert asked(here, "127.0.0.1", token=here.token(Scope.VIEWER)).status_code == 200


def test_it_takes_no_parameters(here: PortalUnderTest) -> None:
    assert here.get("/metrics?name[]=up").status_code == 400


def test_polls_are_counted_by_what_they_heard(here: PortalUnderTest) -> None:
    here.publish("1.1.0")
    current, behind = here.enrol("1.1.0").engine, here.enrol("1.0.0").engine
    for engine, version in ((current, "1.1.0"), (current, "1.1.0"), (behind, "1.0.0")):
        body = poll_of(engine, version=version).to_bytes()
        assert here.post("/api/v1/poll", body, token=here.engines[engine]).status_code == 200
    here.post("/api/v1/poll", b"{}", token=here.engines[current])
    here.post("/api/v1/poll", b"{}")
    found = exposed(here)
    assert found.value("engineshed_polls_total", outcome="no-news", code="up-to-date") == 2
    assert found.value("engineshed_polls_total", outcome="order", code="offer") == 1
    assert found.value("engineshed_polls_total", outcome="refused", code="poll-unreadable") == 1
    assert found.value("engineshed_polls_total", outcome="refused", code="token-missing") == 1
    assert found.total("engineshed_polls_total") == 5
    assert found.total("engineshed_http_requests_total", route="/api/v1/poll") == 0


def test_an_attempt_counts_once_however_often_it_is_reported(here: PortalUnderTest) -> None:
    engine = here.enrol().engine
    report = report_of(engine, now=poll_of(engine).clock, attempt=new_id("att")).to_bytes()
    for _ in range(2):
        assert here.post("/api/v1/reports", report, token=here.engines[engine]).status_code == 200
    assert exposed(here).value("engineshed_attempts_total", outcome="OK") == 1


def test_requests_are_counted_by_route_method_and_class_of_status(here: PortalUnderTest) -> None:
    for name in ("eng_a", "eng_b"):
        here.get(f"/api/v1/engines/{name}", token=here.token(Scope.VIEWER))
    here.get("/no/such/page")
    here.http.open("/healthz", method="BREW")
    found = exposed(here)
    route = {"route": "/api/v1/engines/<name:engine_id>", "method": "GET"}
    assert found.value("engineshed_http_requests_total", **route, status="4xx") == 2
    # What a peer makes up is one series, whatever it is.
    assert found.value("engineshed_http_requests_total", route="none", method="none", status="4xx") == 2


@pytest.mark.parametrize(
    ("asked_for", "part", "count"),
    [(None, "whole", None), ("bytes=10-19", "part", 10), ("bytes=-5", "part", 5)],
)
def test_downloads_are_counted_with_their_bytes(
    here: PortalUnderTest, asked_for: str | None, part: str, count: int | None
) -> None:
    here.publish("1.0.0")
    target = here.vendor.release("1.0.1")
    assert here.put_bundle(here.vendor.bundle("1.0.1")).status_code == 201
    path, token = f"/repo/v1/vendor/targets/{target.download_name}", here.token()
    headers = {} if asked_for is None else {"Range": asked_for}
    assert here.get(path, token=token, **headers).status_code == (200 if asked_for is None else 206)
    here.http.head(path, headers={"Authorization": f"Bearer {token}"})
    found = exposed(here)
    assert found.value("engineshed_downloads_total", sender="portal", part=part) == 1
    assert found.total("engineshed_downloads_total") == 1
    sent = target.length_bytes if count is None else count
    assert found.value("engineshed_download_bytes_total", sender="portal") == sent


@pytest.mark.parametrize(("asked_for", "part", "count"), [(None, "whole", None), ("bytes=10-19", "part", 10)])
def test_bytes_that_the_web_server_in_front_sends_are_counted_as_its_own(
    tmp_path: Path, vendor: Vendor, asked_for: str | None, part: str, count: int | None
) -> None:
    settings = {"web__proxies": "127.0.0.1", "web__accel": "/_blobs"}
    with portal_under_test(tmp_path, vendor, **settings) as here:
        target = vendor.release("1.0.0")
        assert here.put_bundle(vendor.bundle("1.0.0")).status_code == 201
        headers = {"X-Forwarded-For": AFAR} | ({} if asked_for is None else {"Range": asked_for})
        path = f"/repo/v1/vendor/targets/{target.download_name}"
        answer = here.get(path, token=here.token(), **headers)
        assert (answer.headers["X-Accel-Redirect"][:8], answer.data) == ("/_blobs/", b"")
        found = exposed(here)
    assert found.value("engineshed_downloads_total", sender="front", part=part) == 1
    sent = target.length_bytes if count is None else count
    assert found.value("engineshed_download_bytes_total", sender="front") == sent
    assert found.value("engineshed_download_bytes_total", sender="portal") == 0


def test_simple_uploads_and_what_came_of_them_are_counted(here: PortalUnderTest) -> None:
    here.vendor.release("1.0.0")
    bundle = here.vendor.bundle("1.0.0")
    for _ in range(2):
        here.put_bundle(bundle)
    nonsense = bundle.with_name("nonsense.zip")
    nonsense.write_bytes(b"no zip at all")
    refused = here.put_bundle(nonsense).json
    assert refused is not None
    found = exposed(here)
    assert found.value("engineshed_upload_bytes_total", way="put") == 2 * bundle.stat().st_size + 13
    assert found.value("engineshed_ingests_total", code="published") == 1
    assert found.value("engineshed_ingests_total", code="unchanged") == 1
    assert found.value("engineshed_ingests_total", code=refused["code"]) == 1
    assert found.value("engineshed_uploads_refused_total", code=refused["code"]) == 1


def test_uploads_in_pieces_are_counted_by_what_is_durable(here: PortalUnderTest) -> None:
    token = here.token(Scope.SUPPORT)
    tus = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"}
    made = here.http.post("/api/v1/uploads", headers={**tus, "Upload-Length": "9"})
    place = made.headers["Location"]
    piece = {**tus, "Content-Type": "application/offset+octet-stream"}
    assert here.http.patch(place, data=b"12345", headers={**piece, "Upload-Offset": "0"}).status_code == 204
    assert here.http.patch(place, data=b"12345", headers={**piece, "Upload-Offset": "0"}).status_code == 409
    found = exposed(here)
    assert found.value("engineshed_upload_bytes_total", way="tus") == 5
    assert found.value("engineshed_uploads_refused_total", code="upload-offset") == 1
