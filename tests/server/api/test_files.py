"""Answers with a file: headers, bodies, and every file closed again."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient

from engineshed_server.api.files import FOREVER, Representation, answer_with, open_stored
from engineshed_server.errors import NotFound, ServerError

DATA = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(DATA).hexdigest()
SHOWN = Representation(
    length_bytes=len(DATA),
    sha256=SHA256,
    content_type="application/zip",
    cache_control=FOREVER,
    download_name="sample-1.0.0.zip",
)


@pytest.fixture
def opened() -> list[BinaryIO]:
    return []


@pytest.fixture
def client(tmp_path: Path, opened: list[BinaryIO]) -> Iterator[FlaskClient]:
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    app = Flask("test", static_folder=None)

    @app.get("/file")
    def file() -> Response:
        body = open_stored(path, len(DATA))
        opened.append(body)
        return answer_with(SHOWN, body, request=request)

    with app.test_client() as found:
        yield found


def test_get_sends_the_whole_file(client: FlaskClient) -> None:
    answer = client.get("/file", buffered=True)
    assert (answer.status_code, answer.data) == (200, DATA)


def test_the_headers_tell_what_the_file_is(client: FlaskClient) -> None:
    headers = client.get("/file", buffered=True).headers
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert headers["ETag"] == f'"{SHA256}"'
    assert headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert headers["Content-Disposition"] == 'attachment; filename="sample-1.0.0.zip"'
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Type"] == "application/zip"


def test_head_has_the_headers_of_get_and_no_body(client: FlaskClient) -> None:
    head, get = client.head("/file"), client.get("/file", buffered=True)
    assert dict(head.headers) == dict(get.headers)
    assert head.data == b""


def test_a_range_is_answered_206_with_its_place_in_the_whole(client: FlaskClient) -> None:
    answer = client.get("/file", buffered=True, headers={"Range": "bytes=1000-300999"})
    assert (answer.status_code, answer.data) == (206, DATA[1000:301000])
    assert answer.headers["Content-Range"] == f"bytes 1000-300999/{len(DATA)}"
    assert answer.headers["Content-Length"] == "300000"


def test_the_digest_of_a_range_is_that_of_the_whole_file(client: FlaskClient) -> None:
    part = client.get("/file", buffered=True, headers={"Range": "bytes=5-9"})
    assert part.headers["Repr-Digest"] == client.get("/file", buffered=True).headers["Repr-Digest"]


def test_a_range_behind_the_end_is_a_problem_that_tells_the_length(client: FlaskClient) -> None:
    answer = client.get("/file", buffered=True, headers={"Range": f"bytes={len(DATA)}-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
    assert answer.json is not None
    assert answer.json["code"] == "range-not-satisfiable"


def test_a_range_of_head_is_ignored(client: FlaskClient) -> None:
    answer = client.head("/file", headers={"Range": "bytes=0-5"})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(DATA)))


def test_who_has_it_already_is_told_not_modified(client: FlaskClient) -> None:
    answer = client.get("/file", buffered=True, headers={"If-None-Match": f'"{SHA256}"'})
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == f'"{SHA256}"'


def test_if_match_with_another_tag_is_a_problem(client: FlaskClient) -> None:
    assert client.get("/file", buffered=True, headers={"If-Match": '"x"'}).status_code == 412


def test_a_client_that_takes_gzip_gets_the_plain_bytes(client: FlaskClient) -> None:
    answer = client.get("/file", buffered=True, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
    assert answer.data == DATA


@pytest.mark.parametrize(
    "headers", [{}, {"Range": "bytes=1-2"}, {"Range": "bytes=999999999-"}, {"If-None-Match": "*"}]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_file_is_closed_after_every_answer(
    client: FlaskClient, opened: list[BinaryIO], headers: dict[str, str], method: str
) -> None:
    client.open("/file", method=method, headers=headers).close()
    assert [body.closed for body in opened] == [True]


def test_missing_bytes_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        open_stored(tmp_path / "gone", 5)
    assert caught.value.code == "bytes-missing"


def test_bytes_of_another_length_than_stored_are_not_sent(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"12")
    with pytest.raises(ServerError) as caught:
        open_stored(tmp_path / "blob", 5)
    assert caught.value.code == "bytes-damaged"
