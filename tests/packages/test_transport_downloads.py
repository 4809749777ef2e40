"""Downloads that are resumed, cut short, redirected, endless: against a real server on loopback."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_packages.errors import PackagesError, SourceRefused, Unavailable
from engineshed_packages.transport import DownloadResult, HttpClient
from tests.authority import Authority
from tests.faulty_http import Answer, Exchange, FaultyServer, answers

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


class FullDisk(io.BytesIO):
    def write(self, data: object, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def chunked(data: bytes) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        exchange.send(f"{len(data):x}\r\n".encode("ascii") + data + b"\r\n0\r\n\r\n")

    return answer


# --- downloads


def test_a_download_writes_all_bytes_and_gives_the_strong_etag(
    server: FaultyServer, client: HttpClient, part: Part
) -> None:
    server.at("/a", answers.file(DATA, '"abc"'))
    assert part.fetch(client, server.url + "/a") == DownloadResult(etag='"abc"', received=len(DATA))
    assert part.content == DATA


def test_a_weak_etag_is_not_kept_because_if_range_must_not_use_it(
    server: FaultyServer, client: HttpClient, part: Part
) -> None:
    server.at("/a", answers.file(DATA, 'W/"abc"'))
    assert part.fetch(client, server.url + "/a").etag is None


def test_a_download_asks_for_uncompressed_bytes(server: FaultyServer, client: HttpClient, part: Part) -> None:
    server.at("/a", answers.file(DATA))
    part.fetch(client, server.url + "/a")
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_a_download_tells_its_progress_up_to_the_end(
    server: FaultyServer, client: HttpClient, part: Part
) -> None:
    server.at("/a", answers.file(DATA))
    seen: list[int] = []
    with part.path.open("r+b") as file:
        client.download(server.url + "/a", file, expected_bytes=len(DATA), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(DATA)


def test_a_download_goes_on_where_the_part_ends(
    server: FaultyServer, client: HttpClient, begun: Part
) -> None:
    server.at("/a", answers.file(DATA))
    assert begun.fetch(client, server.url + "/a", etag='"v1"').received == len(DATA) - 1000
    assert begun.content == DATA
    assert server.requests[0].headers["range"] == "bytes=1000-"
    assert server.requests[0].headers["if-range"] == '"v1"'


def test_a_file_that_changed_meanwhile_is_fetched_anew(
    server: FaultyServer, client: HttpClient, begun: Part
) -> None:
    server.at("/a", answers.file(DATA, '"v2"'))
    assert begun.fetch(client, server.url + "/a", etag='"v1"').received == len(DATA)
    assert begun.content == DATA


def test_a_part_that_is_whole_asks_for_nothing(
    server: FaultyServer, client: HttpClient, tmp_path: Path
) -> None:
    Part(tmp_path, DATA).fetch(client, server.url + "/a")
    assert server.requests == []


def test_a_part_that_is_too_long_is_fetched_anew(
    server: FaultyServer, client: HttpClient, tmp_path: Path
) -> None:
    server.at("/a", answers.file(DATA))
    part = Part(tmp_path, DATA + b"more")
    part.fetch(client, server.url + "/a")
    assert part.content == DATA


@pytest.mark.parametrize(
    "content_range",
    [
        f"bytes 999-{len(DATA) - 1}/{len(DATA)}",
        f"bytes 0-{len(DATA) - 1}/{len(DATA)}",
        f"bytes 1000-{len(DATA) - 2}/{len(DATA)}",
        f"bytes 1000-{len(DATA) - 1}/{len(DATA) + 1}",
        "bytes */100",
        "lines 1-2/3",
        "",
    ],
)
def test_a_wrong_206_is_refused_and_leaves_the_part_as_it_was(
    server: FaultyServer, client: HttpClient, begun: Part, content_range: str
) -> None:
    server.at("/a", answers.partial(DATA[1000:], content_range))
    error = begun.fails(client, server.url + "/a", etag='"v1"')
    assert (type(error), error.code) == (SourceRefused, "wrong-range")
    assert begun.content == DATA[:1000]


def test_a_206_of_another_length_than_its_range_is_refused(
    server: FaultyServer, client: HttpClient, begun: Part
) -> None:
    server.at("/a", answers.partial(b"short", f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"))
    assert begun.fails(client, server.url + "/a").code == "wrong-length"


def test_a_206_nobody_asked_for_is_refused(server: FaultyServer, client: HttpClient, part: Part) -> None:
    server.at("/a", answers.partial(DATA[5:], f"bytes 5-{len(DATA) - 1}/{len(DATA)}"))
    assert part.fails(client, server.url + "/a").code == "wrong-range"


def test_a_truncated_200_can_be_tried_again_from_where_it_broke_off(
    server: FaultyServer, client: HttpClient, part: Part
) -> None:
    server.at("/a", answers.truncated(DATA, 300_000), answers.file(DATA))
    assert isinstance(part.fails(client, server.url + "/a"), Unavailable)
    assert part.content == DATA[:300_000]
    part.fetch(client, server.url + "/a", etag='"v1"')
    assert part.content == DATA


def test_an_error_of_urllib3_in_mid_stream_comes_out_as_ours(
    server: FaultyServer, client: HttpClient, part: Part
) -> None:
    server.at("/a", answers.broken_chunks(DATA[:5000]))
    error = part.fails(client, server.url + "/a")
    assert (type(error), error.code) == (Unavailable, "unreachable")
    assert part.content == DATA[:5000]


def test_a_200_that_announces_another_length_than_was_signed_is_refused_at_once(
    server: FaultyServer, client: HttpClient, begun: Part
) -> None:
    server.at("/a", answers.file(DATA[:-1]))
    assert begun.fails(client, server.url + "/a", etag='"other"').code == "wrong-length"
    assert begun.content == DATA[:1000]


def test_a_chunked_200_that_ends_early_is_no_whole_download(
    server: FaultyServer, client: HttpClient, part: Part
) -> None:
    server.at("/a", chunked(DATA[:5000]))
    assert part.fails(client, server.url + "/a").code == "cut-short"


def test_a_captive_portals_page_is_refused_and_leaves_the_part_as_it_was(
    server: FaultyServer, client: HttpClient, begun: Part
) -> None:
    server.at("/a", answers.html())
    assert begun.fails(client, server.url + "/a", etag='"v1"').code == "not-a-package"
    assert begun.content == DATA[:1000]


def test_endless_data_is_cut_off_at_the_signed_length(
    server: FaultyServer, client: HttpClient, part: Part
) -> None:
    server.at("/a", answers.endless())
    error = part.fails(client, server.url + "/a")
    assert (type(error), error.code) == (SourceRefused, "too-large")
    assert part.content == b""


def test_a_compressed_answer_is_refused(server: FaultyServer, client: HttpClient, part: Part) -> None:
    server.at("/a", answers.status(200, {"Content-Encoding": "gzip"}, DATA))
    assert part.fails(client, server.url + "/a").code == "content-encoded"


def test_a_full_disk_is_the_callers_oserror_and_no_trouble_of_the_network(
    server: FaultyServer, client: HttpClient
) -> None:
    server.at("/a", answers.file(DATA))
    with pytest.raises(OSError) as caught:
        client.download(server.url + "/a", FullDisk(), expected_bytes=len(DATA))
    assert caught.value.errno == errno.ENOSPC


# --- redirects


def test_a_package_is_fetched_over_a_redirect_without_the_token(
    server: FaultyServer, client: HttpClient, begun: Part
) -> None:
    server.at("/a", answers.redirect("/b"))
    server.at("/b", answers.file(DATA))
    begun.fetch(client, server.url + "/a", etag='"v1"')
    first, second = server.requests
    assert begun.content == DATA
    assert first.headers["authorization"] == "Bearer t"
    assert "authorization" not in second.headers
    assert second.headers["range"] == "bytes=1000-"


def test_a_third_redirect_is_not_followed(server: FaultyServer, client: HttpClient, part: Part) -> None:
    for here, there in (("/a", "/b"), ("/b", "/c"), ("/c", "/d")):
        server.at(here, answers.redirect(there))
    assert part.fails(client, server.url + "/a").code == "http-302"
    assert server.paths() == ["/a", "/b", "/c"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "javascript:0"])
def test_a_redirect_away_from_http_is_refused(
    server: FaultyServer, client: HttpClient, part: Part, location: str
) -> None:
    server.at("/a", answers.redirect(location))
    assert part.fails(client, server.url + "/a").code == "bad-redirect"


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path, server: FaultyServer, part: Part) -> None:
    authority = Authority(tmp_path)
    server.at("/b", answers.file(DATA))
    with (
        FaultyServer(tls=authority.server_context()) as secure,
        HttpClient(ca_file=str(authority.ca_file)) as client,
    ):
        secure.at("/a", answers.redirect(server.url + "/b"))
        assert part.fails(client, secure.url + "/a").code == "bad-redirect"
    assert server.requests == []


def test_a_redirect_is_never_followed_where_json_is_due(server: FaultyServer, client: HttpClient) -> None:
    server.at("/poll", answers.redirect("/elsewhere"))
    with pytest.raises(SourceRefused) as caught:
        client.post_json(server.url + "/poll", b"{}", token="t", max_bytes=100)
    assert caught.value.code == "http-302"
    assert server.paths() == ["/poll"]


def test_netrc_does_not_replace_the_token(
    server: FaultyServer, client: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.at("/poll", answers.json(b"{}"))
    client.post_json(server.url + "/poll", b"{}", token="ours", max_bytes=100)
    assert server.requests[0].headers["authorization"] == "Bearer ours"


def test_a_part_of_a_file_is_read_by_range(server: FaultyServer, client: HttpClient) -> None:
    server.at("/package", answers.file(DATA))
    assert client.read_part(f"{server.url}/package", start=1000, length=50, token="t") == DATA[1000:1050]
    (request,) = server.requests
    assert request.headers["range"] == "bytes=1000-1049"
    assert request.headers["authorization"] == "Bearer t"


def test_a_part_beyond_the_end_is_what_there_is(server: FaultyServer, client: HttpClient) -> None:
    server.at("/package", answers.file(DATA))
    assert client.read_part(f"{server.url}/package", start=len(DATA) - 10, length=50) == DATA[-10:]


@pytest.mark.parametrize("answer", [answers.status(200, body=DATA), answers.endless()])
def test_of_a_server_that_knows_no_ranges_no_more_is_read(
    server: FaultyServer, client: HttpClient, answer: Answer
) -> None:
    server.at("/package", answer)
    assert len(client.read_part(f"{server.url}/package", start=300_000, length=50)) == 50


def test_the_part_is_the_one_that_was_asked_for(server: FaultyServer, client: HttpClient) -> None:
    server.at("/package", answers.status(200, {"Content-Type": "application/zip"}, DATA))
    assert client.read_part(f"{server.url}/package", start=300_001, length=7) == DATA[300_001:300_008]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answers.html(), "not-a-package"),
        (answers.partial(DATA[:50], "bytes 0-49/1000"), "wrong-range"),
        (answers.partial(DATA[:50], "nonsense"), "wrong-range"),
        (answers.status(204), "http-204"),
        (answers.status(500), "http-500"),
        (answers.status(404), "missing"),
    ],
)
def test_a_part_that_is_another_is_refused(
    server: FaultyServer, client: HttpClient, answer: Answer, code: str
) -> None:
    server.at("/package", answer)
    with pytest.raises(PackagesError) as caught:
        client.read_part(f"{server.url}/package", start=10, length=50)
    assert caught.value.code == code


def test_a_part_is_fetched_along_a_redirect_without_the_token(
    server: FaultyServer, client: HttpClient
) -> None:
    server.at("/package", answers.redirect(f"{server.url}/elsewhere"))
    server.at("/elsewhere", answers.file(DATA))
    assert client.read_part(f"{server.url}/package", start=0, length=5, token="t") == DATA[:5]
    assert "authorization" not in server.requests[1].headers
