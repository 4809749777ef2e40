"""The application as a whole: request ids, problems for everything, two portals in one process."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from engineshed_server.app import create_app
from engineshed_server.services.portal import Portal
from engineshed_server.services.setup import initialise
from engineshed_server.wiring import open_portal
from tests.server.api.conftest import make_settings
from tests.server.databases.sqlite import lay_database
from tests.vendor import Vendor


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    folder = tmp_path_factory.mktemp("app")
    settings = make_settings(folder / "data")
    lay_database(folder / "data")
    initialise(settings, root=Vendor(folder).root, now=datetime.now(UTC))
    opened = open_portal(settings)
    yield opened
    opened.close()


@pytest.fixture
def client(portal: Portal) -> Iterator[FlaskClient]:
    with create_app(portal).test_client() as found:
        yield found


def test_a_sane_request_id_is_taken_over(client: FlaskClient) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": "proxy-12345678"})
    assert answer.headers["X-Request-ID"] == "proxy-12345678"


@pytest.mark.parametrize("sent", ["", "short", "x" * 65, "a b c d e f g", "<script>alert(1)</script>"])
def test_another_request_id_is_replaced(client: FlaskClient, sent: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"].startswith("req_")


def test_every_request_has_an_id_of_its_own(client: FlaskClient) -> None:
    first, second = (client.get("/healthz").headers["X-Request-ID"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/repo/v1/vendor/metadata/../../../etc/passwd", 404, "not-found"),
        ("GET", "/repo/v1/other/metadata/root.json", 404, "not-found"),
        ("DELETE", "/api/v1/poll", 405, "method-not-allowed"),
        ("POST", "/healthz", 405, "method-not-allowed"),
        ("OPTIONS", "/healthz", 405, "method-not-allowed"),
        ("OPTIONS", "/api/v1/poll", 405, "method-not-allowed"),
        ("TRACE", "/healthz", 405, "method-not-allowed"),
        ("POST", "/api/v1/poll", 401, "token-missing"),
        ("POST", "/api/v1/enrol", 415, "media-type-not-supported"),
        ("GET", "/api/v1/engines", 401, "token-missing"),
        ("PUT", "/api/v1/bundles/x.zip", 401, "token-missing"),
        ("GET", "/version?x=1", 200, ""),
    ],
)
def test_every_refusal_is_a_problem(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    if status >= 400:
        assert answer.content_type == "application/problem+json"
        values = json.loads(answer.data)
        assert values["code"] == code
        assert values["status"] == status
        assert values["instance"] == answer.headers["X-Request-ID"]
        assert values["detail"]


def test_a_refused_method_is_told_the_allowed_ones(client: FlaskClient) -> None:
    allowed = client.delete("/healthz").headers["Allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD"}


def test_an_error_nobody_foresaw_is_told_without_a_word_of_the_inside(
    portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(portal)

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("password=hunter2")

    with caplog.at_level(logging.ERROR):
        answer = app.test_client().get("/broken")
    assert answer.status_code == 500
    assert json.loads(answer.data)["code"] == "internal-error"
    assert b"hunter2" not in answer.data
    assert "hunter2" in caplog.text


def test_two_portals_live_in_one_process(portal: Portal, tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    initialise(settings, root=Vendor(tmp_path).root, now=datetime.now(UTC))
    other = open_portal(settings)
    try:
        apps = create_app(portal), create_app(other)
        assert apps[0].extensions != apps[1].extensions
        assert all(app.test_client().get("/readyz?verbose").is_json for app in apps)
    finally:
        other.close()


def test_a_request_leaves_one_line_in_the_log(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="engineshed_server.app"):
        client.get("/version")
        client.get("/healthz")
    told = [record for record in caplog.records if record.message == "request"]
    assert [(vars(record)["path"], vars(record)["status"]) for record in told] == [("/version", 200)]


def test_the_line_of_a_refused_request_has_the_code_of_the_problem(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="engineshed_server.app"):
        client.get("/nowhere")
    (told,) = [record for record in caplog.records if record.message == "request"]
    assert vars(told)["code"] == "not-found"
