"""Bytes over HTTP, for both sides, with limits and deadlines. The only place where requests is used.

Invariants:

- No exchange outlives its deadline, however slowly the other side dribbles (`deadline.py`).
- No body grows beyond the limit its reader named; no package or upload is ever held in memory.
- A token goes to the address it was given for and nowhere else: redirects are followed for packages
  only, at most twice, without the token. `.netrc` and other surroundings are not consulted.
- Only the format's own errors come out, from the call and from the iteration alike: ``Unavailable``
  (later), ``Missing`` (404), ``SourceRefused`` (never as it is). ``OSError`` means the local file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
import requests.utils
import urllib3.exceptions

from engineshed_packages.errors import SourceRefused, Unavailable
from engineshed_packages.transport import deadline as deadlines
from engineshed_packages.transport.answers import (
    HttpRefused,
    JsonAnswer,
    Stream,
    check_encoding,
    check_json,
    check_status,
    part_from,
    redirected,
    resumed_from,
    shown_url,
    strong_etag,
)
from engineshed_packages.transport.bodies import (
    PIECE_BYTES,
    FilePart,
    PartReader,
    limited,
    read_all,
    read_problem_body,
    read_slice,
    write_pieces,
)

__all__ = ["DownloadResult", "FilePart", "HttpClient", "HttpRefused", "JsonAnswer", "Stream", "is_loopback"]

MAX_REDIRECTS = 2
TRANSFER_DEADLINE_S = 4 * 3600  # one package, over the slowest line anybody should have
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadResult:
    """What a finished download knows: the server's strong ETag and the bytes of this exchange."""

    etag: str | None
    received: int


class HttpClient:
    """One party's way to others over HTTP; keeps connections open between requests.

    Not for several threads at once. Close it, or use it as a context manager.

    Args:
        ca_file: PEM file of the CAs to trust, None for those shipped with requests.
        user_agent: sent with each request.
        connect_timeout_s, read_timeout_s: the longest silence while connecting and reading.
        deadline_s: the longest whole exchange, unless a method is told otherwise.
        proxies: URL of the proxy by scheme; None takes the environment's. Loopback is never proxied.
    """

    def __init__(
        self,
        *,
        ca_file: str | None = None,
        user_agent: str = "engineshed",
        connect_timeout_s: float = 10,
        read_timeout_s: float = 30,
        deadline_s: float = 120,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        self._session = requests.Session()
        # .netrc would replace our token, and proxies are chosen below.
        self._session.trust_env = False
        self._session.verify = True if ca_file is None else ca_file
        self._session.headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._session.mount("http://", deadlines.adapter())
        self._session.mount("https://", deadlines.adapter())
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._deadline_s = deadline_s
        self._proxies = proxies

    def close(self) -> None:
        """Close all kept connections."""
        self._session.close()

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def post_json(self, url: str, body: bytes, *, token: str | None = None, max_bytes: int) -> JsonAnswer:
        """Send a JSON *body* and read a JSON answer of at most *max_bytes*.

        Raises:
            Unavailable: no answer, a broken or late one, 408, 429, 5xx.
            SourceRefused: any other status but 2xx (``http-401``…), no JSON, too large.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json, application/problem+json"}
        with self._exchange("POST", url, token=token, headers=headers, body=body) as stream:
            check_status(stream, url, problem=read_problem_body)
            return check_json(stream, read_all(stream, url, max_bytes), url)

    def send(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str],
        body: FilePart | None = None,
        deadline_s: float | None = None,
        max_bytes: int = 65536,
    ) -> JsonAnswer:
        """Send a part of a file, or no body, and read the small answer, which may be empty.

        Raises:
            OSError: the file cannot be opened.
            Unavailable, SourceRefused: as for ``post_json``.
        """
        fields = {"Accept": "application/json, application/problem+json", **headers}
        with ExitStack() as stack:
            reader: Callable[[deadlines.Deadline], PartReader] | None = None
            if body is not None:
                reader = partial(PartReader, stack.enter_context(body.path.open("rb")), body)
            stream = stack.enter_context(
                self._exchange(method, url, token=token, headers=fields, body=reader, deadline_s=deadline_s)
            )
            check_status(stream, url, problem=read_problem_body)
            return check_json(stream, read_all(stream, url, max_bytes), url)

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        max_bytes: int,
    ) -> Iterator[Stream]:
        """Ask for *url* and hand out the answer, status checked, its body limited to *max_bytes*.

        Raises:
            Missing: 404 or 410.
            Unavailable, SourceRefused: as for ``post_json``; the iteration raises them too.
        """
        with self._exchange(method, url, token=token, headers=headers or {}, deadline_s=deadline_s) as stream:
            check_status(stream, url, problem=read_problem_body, missing=True)
            check_encoding(stream, url)
            yield Stream(
                status=stream.status, headers=stream.headers, chunks=limited(stream.chunks, url, max_bytes)
            )

    def download(
        self,
        url: str,
        part: BinaryIO,
        *,
        expected_bytes: int,
        offset: int = 0,
        etag: str | None = None,
        token: str | None = None,
        deadline_s: float = TRANSFER_DEADLINE_S,
        progress: Callable[[int], None] | None = None,
    ) -> DownloadResult:
        """Fetch *url* into *part*, going on at *offset*, until exactly *expected_bytes* are there.

        The bytes are not verified here: *url* should name its content, and the caller hashes the file.

        Args:
            part: opened ``r+b`` by the caller; holds *offset* good bytes. Synchronised to disk at the end.
            etag: strong ETag *part* was begun under, sent as If-Range; a changed file starts anew.
            progress: told the length of *part* after each piece.

        Raises:
            OSError: *part* cannot be written; the disk is full.
            Missing, Unavailable: *part* keeps what arrived; call again with its length as *offset*.
            SourceRefused: codes ``wrong-range``, ``wrong-length``, ``too-large``, ``not-a-package``,
                ``http-…``; *part* holds nothing new.
        """
        if offset > expected_bytes:
            offset = 0
        if offset == expected_bytes and offset > 0:
            return DownloadResult(etag=etag, received=0)
        headers = {"Accept": "application/zip, application/octet-stream"}
        if offset > 0:
            headers["Range"] = f"bytes={offset}-"
            if etag is not None:
                headers["If-Range"] = etag
        with self._following(url, token=token, headers=headers, deadline_s=deadline_s) as stream:
            check_status(stream, url, problem=read_problem_body, missing=True)
            check_encoding(stream, url)
            start = resumed_from(stream, url, offset=offset, expected_bytes=expected_bytes)
            received = write_pieces(stream, part, url, start=start, end=expected_bytes, progress=progress)
            return DownloadResult(etag=strong_etag(stream.headers.get("etag")), received=received)

    def read_part(self, url: str, *, start: int, length: int, token: str | None = None) -> bytes:
        """At most *length* bytes of the file at *url*, from its byte *start*; fewer where the file ends.

        A server that knows no ranges is read up to there and no further.

        Raises:
            Missing: 404 or 410.
            Unavailable, SourceRefused: as for ``download``.
        """
        headers = {
            "Accept": "application/zip, application/octet-stream",
            "Range": f"bytes={start}-{start + length - 1}",
        }
        with self._following(url, token=token, headers=headers, deadline_s=None) as stream:
            check_status(stream, url, problem=read_problem_body, missing=True)
            check_encoding(stream, url)
            return read_slice(stream, skip=part_from(stream, url, start=start), length=length)

    @contextmanager
    def _following(
        self, url: str, *, token: str | None, headers: Mapping[str, str], deadline_s: float | None
    ) -> Iterator[Stream]:
        for _ in range(MAX_REDIRECTS):
            with self._exchange("GET", url, token=token, headers=headers, deadline_s=deadline_s) as stream:
                if stream.status not in _REDIRECTS:
                    yield stream
                    return
                url = redirected(url, stream.headers.get("location"))
                token = None  # it was given for the first address alone
        with self._exchange("GET", url, token=None, headers=headers, deadline_s=deadline_s) as stream:
            yield stream

    @contextmanager
    def _exchange(
        self,
        method: str,
        url: str,
        *,
        token: str | None,
        headers: Mapping[str, str],
        body: bytes | Callable[[deadlines.Deadline], PartReader] | None = None,
        deadline_s: float | None = None,
    ) -> Iterator[Stream]:
        """One request and its answer, unchecked."""
        total_s = self._deadline_s if deadline_s is None else deadline_s
        deadline = deadlines.Deadline(total_s, self._read_timeout_s)
        fields = dict(headers)
        if token is not None:
            fields["Authorization"] = f"Bearer {token}"
        with _translated(url, deadline), deadlines.running(deadline):
            response = self._session.request(
                method,
                url,
                data=body(deadline) if callable(body) else body,
                headers=fields,
                stream=True,
                allow_redirects=False,
                timeout=(min(self._connect_timeout_s, total_s), min(self._read_timeout_s, total_s)),
                proxies=self._proxies_for(url),
            )
        try:
            lower = {name.lower(): value for name, value in response.headers.items()}
            yield Stream(status=response.status_code, headers=lower, chunks=_pieces(response, url, deadline))
        finally:
            response.close()

    def _proxies_for(self, url: str) -> dict[str, str]:
        if is_loopback(urlsplit(url).hostname or ""):
            return {}
        if self._proxies is not None:
            return dict(self._proxies)
        return requests.utils.get_environ_proxies(url)


def is_loopback(host: str) -> bool:
    """Whether *host* is this host itself."""
    return host == "localhost" or host == "::1" or host.startswith("127.")


@contextmanager
def _translated(url: str, deadline: deadlines.Deadline) -> Iterator[None]:
    """Let only the format's errors out of a call or of one step of an iteration over the network.

    urllib3's ``ProtocolError`` and the socket's ``OSError`` come out of requests unwrapped in mid-stream.
    """
    where = shown_url(url)
    try:
        yield
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
    ) as err:
        raise SourceRefused("bad-url", f"{where} is no http or https address: {err}"[:300]) from err
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as err:
        message = f"{where}: TLS failed ({_reason(err)}); check the server's certificate and ca_file"
        raise Unavailable("tls-failed", message) from err
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as err:
        if deadline.left_s <= 0:
            message = f"{where}: not finished after {deadline.total_s:g} s, given up"
            raise Unavailable("deadline", message) from err
        if isinstance(err, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
            raise Unavailable("timeout", f"{where}: no answer in time ({_reason(err)})") from err
        raise Unavailable(
            "unreachable", f"{where}: the connection failed or broke off ({_reason(err)})"
        ) from err


def _reason(err: BaseException) -> str:
    """The innermost cause, in one short line: requests wraps four layers deep."""
    seen: set[int] = set()
    while id(err) not in seen:
        seen.add(id(err))
        inner = getattr(err, "reason", None) or err.__cause__ or next(iter(err.args), None)
        if not isinstance(inner, BaseException):
            break
        err = inner
    return f"{type(err).__name__}: {err}"[:200]


def _pieces(response: requests.Response, url: str, deadline: deadlines.Deadline) -> Iterator[bytes]:
    """The body as it arrives, at most ``PIECE_BYTES`` at a time.

    ``read1``, not ``read``: the latter waits until the whole piece is there, past every deadline.
    """
    while True:
        with _translated(url, deadline):
            deadline.next_wait_s()
            piece: bytes = response.raw.read1(PIECE_BYTES, decode_content=False)
        if not piece:
            return
        yield piece
