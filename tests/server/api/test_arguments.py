"""Bodies and queries of operators' routes: as strict as the document says, and every refusal is a problem."""

import json
from collections.abc import Iterator

import pytest

from tests.server.api.conftest import PortalUnderTest, portal_under_test
from tests.vendor import Vendor


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalUnderTest]:
    """One portal for all: what is refused leaves nothing."""
    folder = tmp_path_factory.mktemp("portal")
    with portal_under_test(folder, Vendor(folder)) as made:
        yield made


def _sent(here: PortalUnderTest, body: bytes, **headers: str) -> tuple[int, str, str]:
    answer = here.post("/api/v1/tokens", body, token=here.token(), **headers)
    assert answer.content_type == (
        "application/json" if answer.status_code < 400 else "application/problem+json"
    )
    told = json.loads(answer.data)
    return answer.status_code, told.get("code", ""), told.get("detail", "")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 411, "length-required"),
        (b"null", 400, "json-unreadable"),
        (b"[]", 400, "json-unreadable"),
        (b'{"name": NaN}', 400, "json-unreadable"),
        (b'{"name": "a", "name": "b", "scope": "viewer"}', 400, "json-unreadable"),
        (b"\xff\xfe{}", 400, "json-unreadable"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, 400, "json-too-deep"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 413, "json-too-large"),
        (b"{" + b" " * (256 * 1024), 413, "json-too-large"),
        (b"{}", 422, "fields-refused"),
        (b'{"name": "a", "scope": "viewer", "scoop": 1}', 422, "fields-refused"),
        (b'{"name": 1, "scope": "viewer"}', 422, "fields-refused"),
        (b'{"name": "", "scope": "viewer"}', 422, "fields-refused"),
        (b'{"name": "a", "scope": "root"}', 422, "fields-refused"),
        (b'{"name": "a", "scope": ["viewer"]}', 422, "fields-refused"),
        (b'{"name": "a\\r\\nb", "scope": "viewer"}', 422, "fields-refused"),
        (b'{"name": "\\u001b[31m", "scope": "viewer"}', 422, "fields-refused"),
        (b'{"name": "a", "scope": "viewer", "expires_s": "60"}', 422, "fields-refused"),
        (b'{"name": "a", "scope": "viewer", "expires_s": true}', 422, "fields-refused"),
        (b'{"name": "a", "scope": "viewer", "expires_s": 1.5}', 422, "fields-refused"),
        (b'{"name": "a", "scope": "viewer", "expires_s": 0}', 422, "fields-refused"),
        (b'{"name": "a", "scope": "viewer", "expires_s": 1e400}', 422, "fields-refused"),
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_refused(
    here: PortalUnderTest, body: bytes, status: int, code: str
) -> None:
    assert _sent(here, body)[:2] == (status, code)


def test_every_wrong_field_is_named(here: PortalUnderTest) -> None:
    _, _, detail = _sent(here, b'{"name": "", "scope": "root", "more": 1}')
    assert all(f"{name}: " in detail for name in ("name", "scope", "more"))


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_another_media_type_is_refused(here: PortalUnderTest, kind: str) -> None:
    assert _sent(here, b"{}", **{"Content-Type": kind})[:2] == (415, "media-type-not-supported")


def test_another_charset_is_refused(here: PortalUnderTest) -> None:
    body = '{"name": "ä", "scope": "viewer"}'.encode("latin-1")
    assert _sent(here, body, **{"Content-Type": "application/json; charset=latin-1"})[:2] == (
        415,
        "media-type-not-supported",
    )


def test_a_body_in_utf_8_by_name_is_read(here: PortalUnderTest) -> None:
    body = '{"name": "ä", "scope": "viewer"}'.encode()
    assert _sent(here, body, **{"Content-Type": "application/json; charset=UTF-8"})[0] == 201


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=1&limit=2", "parameter-unreadable"),
        ("limit=1.0", "parameter-unreadable"),
        ("limit=+1", "parameter-unreadable"),
        ("limit=", "parameter-unreadable"),
        ("limit=99999999999999999999", "parameter-unreadable"),
        ("cursor=", "parameter-unreadable"),
        ("cursor=x", "parameter-unreadable"),
        ("cursor=WyJhIl0", "parameter-unreadable"),
        ("cursor=" + "A" * 601, "parameter-unreadable"),
        ("cursor=WyJhIiwiYiJd", "parameter-unreadable"),
        ("cursr=1", "parameter-unknown"),
        ("%00=1", "parameter-unknown"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(here: PortalUnderTest, query: str, code: str) -> None:
    answer = here.get(f"/api/v1/tokens?{query}", token=here.token())
    assert (answer.status_code, json.loads(answer.data)["code"]) == (400, code)


@pytest.mark.parametrize(
    "name", ["..", "%2e%2e%2fpasswd", "a/../b", "%00", "a%0d%0ab", "%1b[31m", "x" * 201, "ä"]
)
def test_a_name_that_can_be_none_is_not_found(here: PortalUnderTest, name: str) -> None:
    answer = here.get(f"/api/v1/tokens/{name}", token=here.token())
    assert (answer.status_code, json.loads(answer.data)["code"]) == (404, "not-found")
    assert "\x1b" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 404, "api-token-not-found"),
        (b"{}", 404, "api-token-not-found"),
        (b'{"reason": "lost"}', 422, "fields-refused"),
        (b"null", 400, "json-unreadable"),
        (b"x" * (256 * 1024 + 1), 413, "json-too-large"),
    ],
)
def test_a_request_that_takes_no_fields_refuses_them(
    here: PortalUnderTest, body: bytes, status: int, code: str
) -> None:
    answer = here.post("/api/v1/tokens/tok_x/revoke", body, token=here.token())
    assert (answer.status_code, json.loads(answer.data)["code"]) == (status, code)


def test_a_body_of_another_kind_is_refused_where_none_is_taken(here: PortalUnderTest) -> None:
    answer = here.post(
        "/api/v1/tokens/tok_x/revoke", b"a=1", token=here.token(), **{"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415


def test_no_answer_is_taken_for_a_page_by_a_browser(here: PortalUnderTest) -> None:
    for path in ("/api/v1/tokens", "/api/v1/nothing", "/api/v1/openapi.json", "/version"):
        assert here.get(path, token=here.token()).headers["X-Content-Type-Options"] == "nosniff"
