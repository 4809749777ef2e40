"""HTTP with limits and deadlines, against a real server on loopback that misbehaves as told."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages.errors import Missing, PackagesError, SourceRefused, Unavailable
from engineshed_packages.transport import DownloadResult, FilePart, HttpClient, HttpRefused, deadline
from tests.authority import Authority
from tests.faulty_http import Exchange, FaultyServer, answers

DATA = bytes(range(256)) * 4000  # four pieces, about 1 MB


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with HttpClient(deadline_s=20, read_timeout_s=10) as client:
        yield client


class Part:
    """A .part file with *content* in it, and what a download made of it."""

    def __init__(self, folder: Path, content: bytes = b"") -> None:
        self.path = folder / "package.part"
        self.path.write_bytes(content)

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    def fetch(self, client: HttpClient, url: str, *, etag: str | None = None) -> DownloadResult:
        with self.path.open("r+b") as file:
            offset = len(self.content)
            return client.download(url, file, expected_bytes=len(DATA), offset=offset, etag=etag, token="t")

    def fails(self, client: HttpClient, url: str, *, etag: str | None = None) -> PackagesError:
        with pytest.raises(PackagesError) as caught:
            self.fetch(client, url, etag=etag)
        return caught.value


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path)


@pytest.fixture
def begun(tmp_path: Path) -> Part:
    return Part(tmp_path, DATA[:1000])


def post_fails(client: HttpClient, server: FaultyServer, *, max_bytes: int = 100) -> PackagesError:
    with pytest.raises(PackagesError) as caught:
        client.post_json(server.url + "/poll", b"{}", max_bytes=max_bytes)
    return caught.value


# --- JSON


def test_a_post_sends_json_with_the_token_and_reads_the_answer(
    server: FaultyServer, client: HttpClient
) -> None:
    server.at("/poll", answers.json(b'{"code":"up-to-date"}'))
    answer = client.post_json(server.url + "/poll", b'{"a":1}', token="t", max_bytes=100)
    assert (answer.status, answer.body) == (200, b'{"code":"up-to-date"}')
    request = server.requests[0]
    assert (request.method, request.body) == ("POST", b'{"a":1}')
    assert request.headers["content-type"] == "application/json"


def test_html_with_200_where_json_is_due_is_refused(server: FaultyServer, client: HttpClient) -> None:
    server.at("/poll", answers.html())
    assert post_fails(client, server).code == "not-json"


def test_an_answer_over_the_limit_is_refused(server: FaultyServer, client: HttpClient) -> None:
    server.at("/poll", answers.json(b"[" + b"1," * 100 + b"1]"))
    assert post_fails(client, server).code == "too-large"


def test_an_endless_answer_is_refused(server: FaultyServer, client: HttpClient) -> None:
    server.at("/poll", answers.endless({"Content-Type": "application/json"}))
    assert post_fails(client, server).code == "too-large"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_a_status_of_refusal_carries_what_the_problem_says(
    server: FaultyServer, client: HttpClient, status: int
) -> None:
    problem = b'{"title":"No","detail":"The engine was revoked.","code":"engine-revoked"}'
    server.at("/poll", answers.json(problem, status))
    error = post_fails(client, server)
    assert isinstance(error, HttpRefused)
    assert (error.code, error.status, error.problem) == (f"http-{status}", status, "engine-revoked")
    assert "The engine was revoked." in error.message


def test_a_problem_that_is_no_json_is_left_out(server: FaultyServer, client: HttpClient) -> None:
    server.at("/poll", answers.status(403, {"Content-Type": "application/problem+json"}, b"\x00{"))
    error = post_fails(client, server)
    assert isinstance(error, HttpRefused)
    assert error.problem is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_of_patience_is_tried_later(server: FaultyServer, client: HttpClient, status: int) -> None:
    server.at("/poll", answers.status(status, {"Retry-After": "7"}))
    error = post_fails(client, server)
    assert isinstance(error, Unavailable)
    assert (error.code, error.status, error.retry_after_s) == (f"http-{status}", status, 7)


def test_no_retry_after_is_none(server: FaultyServer, client: HttpClient) -> None:
    server.at("/poll", answers.status(500))
    error = post_fails(client, server)
    assert isinstance(error, Unavailable)
    assert error.retry_after_s is None


# --- streams


@pytest.mark.parametrize("status", [404, 410])
def test_a_stream_of_a_file_that_is_not_there_is_missing(
    server: FaultyServer, client: HttpClient, status: int
) -> None:
    server.at("/f", answers.status(status))
    with pytest.raises(Missing), client.stream("GET", server.url + "/f", max_bytes=10):
        pass


@pytest.mark.parametrize("status", [401, 403])
def test_a_stream_that_is_forbidden_is_an_error_and_not_missing(
    server: FaultyServer, client: HttpClient, status: int
) -> None:
    server.at("/f", answers.status(status))
    with pytest.raises(HttpRefused), client.stream("GET", server.url + "/f", max_bytes=10):
        pass


def test_a_streams_body_is_limited(server: FaultyServer, client: HttpClient) -> None:
    server.at("/f", answers.file(DATA))
    with (
        pytest.raises(SourceRefused) as caught,
        client.stream("GET", server.url + "/f", max_bytes=1000) as stream,
    ):
        list(stream.chunks)
    assert caught.value.code == "too-large"


# --- deadlines


def test_one_byte_a_second_ends_at_the_deadline(server: FaultyServer, part: Part) -> None:
    server.at("/a", answers.dripping(DATA, 0.05))
    with (
        HttpClient(read_timeout_s=10) as client,
        part.path.open("r+b") as file,
        pytest.raises(Unavailable) as caught,
    ):
        client.download(server.url + "/a", file, expected_bytes=len(DATA), deadline_s=0.5)
    assert caught.value.code == "deadline"
    assert DATA.startswith(part.content)
    assert part.content


def test_a_json_answer_one_byte_a_second_ends_at_the_deadline(server: FaultyServer) -> None:
    server.at("/poll", answers.dripping(b"{}" * 1000, 0.05, {"Content-Type": "application/json"}))
    with HttpClient(read_timeout_s=10, deadline_s=0.5) as client:
        assert post_fails(client, server, max_bytes=10_000).code == "deadline"


def test_headers_one_byte_a_second_end_at_the_deadline(server: FaultyServer) -> None:
    server.at("/poll", answers.dripping_headers(0.05))
    with HttpClient(read_timeout_s=10, deadline_s=0.5) as client:
        assert post_fails(client, server).code == "deadline"


def test_a_server_that_never_answers_ends_at_the_read_timeout(server: FaultyServer) -> None:
    server.at("/poll", answers.silent())
    with HttpClient(read_timeout_s=0.3, deadline_s=20) as client:
        assert post_fails(client, server).code == "timeout"


def test_a_silence_in_mid_body_ends_at_the_read_timeout(server: FaultyServer, part: Part) -> None:
    server.at("/a", answers.dripping(DATA, 3600))
    with HttpClient(read_timeout_s=0.3) as client:
        assert part.fails(client, server.url + "/a").code == "timeout"


# --- connections


def test_a_portal_that_is_down_is_unavailable(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable) as caught:
        client.post_json(f"http://127.0.0.1:{port}/poll", b"{}", max_bytes=10)
    assert caught.value.code == "unreachable"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "no address", "http://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(client: HttpClient, url: str) -> None:
    with pytest.raises(SourceRefused) as caught:
        client.post_json(url, b"{}", max_bytes=10)
    assert caught.value.code == "bad-url"


def test_messages_do_not_show_what_an_address_keeps_secret(server: FaultyServer, client: HttpClient) -> None:
    with pytest.raises(PackagesError) as caught:
        client.post_json(f"http://user:word@127.0.0.1:{server.port}/gone?key=1", b"{}", max_bytes=10)
    assert "word" not in caught.value.message
    assert "key=1" not in caught.value.message


def test_a_connection_is_used_again(server: FaultyServer, client: HttpClient) -> None:
    ports: list[int] = []

    def answer(exchange: Exchange) -> None:
        ports.append(exchange.peer_port)
        answers.json(b"{}")(exchange)

    server.at("/poll", answer)
    for _ in range(2):
        client.post_json(server.url + "/poll", b"{}", max_bytes=10)
    assert ports[0] == ports[1]


def test_the_ca_file_decides_whom_to_trust(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with FaultyServer(tls=authority.server_context()) as secure:
        secure.at("/poll", answers.json(b"{}"))
        with HttpClient(ca_file=str(authority.ca_file)) as client:
            assert client.post_json(secure.url + "/poll", b"{}", max_bytes=10).status == 200


def test_a_certificate_of_a_stranger_is_not_trusted(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, name="stranger")
    with (
        FaultyServer(tls=stranger.server_context()) as secure,
        HttpClient(ca_file=str(authority.ca_file)) as client,
    ):
        assert post_fails(client, secure).code == "tls-failed"
        assert secure.requests == []


def test_without_a_ca_file_the_shipped_cas_decide_and_no_file_is_made_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    # As in the single file, where there is no such file to be opened.
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "no-such.pem"))
    with FaultyServer(tls=authority.server_context()) as secure:
        secure.at("/poll", answers.json(b"{}"))
        with HttpClient() as client:
            assert post_fails(client, secure).code == "tls-failed"
        monkeypatch.setattr("certifi.contents", authority.ca_file.read_text)
        deadline._shipped_cas.cache_clear()
        try:
            with HttpClient() as client:
                assert client.post_json(secure.url + "/poll", b"{}", max_bytes=10).status == 200
        finally:
            deadline._shipped_cas.cache_clear()


def test_the_deadline_holds_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with FaultyServer(tls=authority.server_context()) as secure:
        secure.at("/poll", answers.dripping_headers(0.05))
        with HttpClient(ca_file=str(authority.ca_file), read_timeout_s=10, deadline_s=0.5) as client:
            assert post_fails(client, secure).code == "deadline"


def test_loopback_is_never_asked_for_over_the_environments_proxy(
    server: FaultyServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.at("/poll", answers.json(b"{}"))
    assert client.post_json(server.url + "/poll", b"{}", max_bytes=10).status == 200


def test_a_proxy_is_used_when_it_is_named(server: FaultyServer) -> None:
    server.at("http://portal.invalid/poll", answers.json(b"{}"))
    with HttpClient(proxies={"http": server.url}) as client:
        assert client.post_json("http://portal.invalid/poll", b"{}", max_bytes=10).status == 200


@pytest.fixture
def through(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    """The environment's proxy, which wants a name and a password."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//host:p%40ss@"))
    server.at("http://portal.invalid/poll", answers.json(b"{}"))
    return server


def test_the_environments_proxy_is_told_name_and_password(through: FaultyServer, client: HttpClient) -> None:
    assert client.post_json("http://portal.invalid/poll", b"{}", max_bytes=10).status == 200
    told = through.requests[0].headers["proxy-authorization"]
    assert base64.b64decode(told.removeprefix("Basic ")) == b"host:p@ss"


@pytest.mark.parametrize("spared", ["portal.invalid", ".invalid", "*"])
def test_a_host_that_no_proxy_names_is_asked_directly(
    through: FaultyServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch, spared: str
) -> None:
    monkeypatch.setenv("no_proxy", spared)
    with pytest.raises(Unavailable):
        client.post_json("http://portal.invalid/poll", b"{}", max_bytes=10)
    assert through.requests == []


@pytest.mark.parametrize("url", ["http://portal.invalid/poll", "https://portal.invalid/poll"])
def test_a_proxy_that_is_away_does_not_tell_its_password(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, through: FaultyServer, url: str
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://host:s3cret@127.0.0.1:9")
    with pytest.raises(Unavailable) as caught:
        client.post_json(url, b"{}", max_bytes=10)
    assert "s3cret" not in str(caught.value)


def test_the_deadline_holds_over_a_proxy(server: FaultyServer) -> None:
    server.at("http://portal.invalid/poll", answers.dripping_headers(0.05))
    with (
        HttpClient(proxies={"http": server.url}, read_timeout_s=10, deadline_s=0.5) as client,
        pytest.raises(Unavailable) as caught,
    ):
        client.post_json("http://portal.invalid/poll", b"{}", max_bytes=10)
    assert caught.value.code == "deadline"


# --- uploads


def test_an_upload_sends_the_files_bytes_and_their_length(
    server: FaultyServer, client: HttpClient, tmp_path: Path
) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(DATA)
    server.at("/bundles/b.zip", answers.json(b'{"code":"published"}', 201))
    answer = client.send(
        "PUT", server.url + "/bundles/b.zip", token="t", headers={}, body=FilePart.whole(file)
    )
    request = server.requests[0]
    assert (answer.status, request.method, request.body) == (201, "PUT", DATA)
    assert request.headers["content-length"] == str(len(DATA))
    assert "transfer-encoding" not in request.headers


def test_an_upload_tells_how_far_it_is(server: FaultyServer, client: HttpClient, tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(b"x" * 600_000)
    server.at("/x", answers.json(b"{}"))
    told: list[int] = []
    client.send("PUT", server.url + "/x", headers={}, body=FilePart.whole(file, told.append))
    assert (sorted(told), told[0] < 600_000, told[-1]) == (told, True, 600_000)


def test_an_empty_upload_has_the_length_zero(
    server: FaultyServer, client: HttpClient, tmp_path: Path
) -> None:
    file = tmp_path / "empty"
    file.write_bytes(b"")
    server.at("/x", answers.json(b"{}"))
    client.send("PUT", server.url + "/x", headers={}, body=FilePart.whole(file))
    assert server.requests[0].headers["content-length"] == "0"


def test_an_upload_that_is_refused_says_why(server: FaultyServer, client: HttpClient, tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(DATA)
    server.at("/x", answers.json(b'{"code":"upload-too-large","detail":"At most 1 MB."}', 413))
    with pytest.raises(HttpRefused) as caught:
        client.send("PUT", server.url + "/x", headers={}, body=FilePart.whole(file))
    assert (caught.value.status, caught.value.problem) == (413, "upload-too-large")


def test_an_upload_of_a_missing_file_is_the_callers_oserror(
    server: FaultyServer, client: HttpClient, tmp_path: Path
) -> None:
    part = FilePart(path=tmp_path / "none", offset_bytes=0, length_bytes=1)
    with pytest.raises(FileNotFoundError):
        client.send("PUT", server.url + "/x", headers={}, body=part)
    assert server.requests == []


def test_a_part_of_a_file_is_sent_with_its_own_length(
    server: FaultyServer, client: HttpClient, tmp_path: Path
) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(DATA)
    server.at("/x", answers.status(204))
    part = FilePart(path=file, offset_bytes=3, length_bytes=5)
    client.send("PATCH", server.url + "/x", headers={"Upload-Offset": "3"}, body=part)
    request = server.requests[0]
    assert (request.method, request.body, request.headers["upload-offset"]) == ("PATCH", DATA[3:8], "3")
    assert request.headers["content-length"] == "5"


def test_a_file_that_becomes_shorter_ends_the_exchange_at_once(
    server: FaultyServer, client: HttpClient, tmp_path: Path
) -> None:
    file = tmp_path / "bundle.zip"
    file.write_bytes(DATA)
    part = FilePart(path=file, offset_bytes=0, length_bytes=len(DATA) + 1)
    with pytest.raises(Unavailable) as caught:
        client.send("PUT", server.url + "/x", headers={}, body=part)
    assert "became shorter" in caught.value.message
