"""What an HTTP answer means: pure rules over status and headers, no network here.

``check_status`` turns a status into one of the format's errors, ``resumed_from`` decides whether a 200
or 206 continues what was begun, ``check_json`` whether a body is the JSON it should be (a captive
portal answers HTML with 200).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from engineshed_packages.errors import Missing, ProtocolRefused, SourceRefused, Unavailable
from engineshed_packages.jsontext import Fields, read_object

MAX_RETRY_AFTER_S = 24 * 3600  # nobody may silence an engine for longer
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+){0,7}", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LATER = (408, 425, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonAnswer:
    """A whole small answer. Header names are in lower case; *body* may be empty with 204."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An answer whose body is still to come, in pieces of any size. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an error answer says of itself (RFC 9457); both are None when it says nothing usable."""

    code: str | None = None
    detail: str | None = None


class HttpRefused(SourceRefused):
    """A status that forbids: 401, 403, 409, 413, 422…; ``code`` is ``http-<status>``.

    Attributes:
        status: the HTTP status.
        problem: the ``code`` of the server's problem+json, or None.
    """

    def __init__(self, code: str, message: str, *, status: int = 0, problem: str | None = None) -> None:
        super().__init__(code, message)
        self.status = status
        self.problem = problem


def check_status(
    stream: Stream, url: str, *, problem: Callable[[Stream], bytes], missing: bool = False
) -> None:
    """Pass 2xx.

    Args:
        problem: reads the body of an error answer.
        missing: the answer is about a file, so that 404 says the file is not there.

    Raises:
        Missing, Unavailable, HttpRefused, SourceRefused: by status.
    """
    status = stream.status
    if 200 <= status < 300:
        return
    where = shown_url(url)
    if status < 400:
        message = f"{where} answered {status} to {stream.headers.get('location', '?')[:100]!r}: not followed"
        raise SourceRefused(f"http-{status}", message)
    if missing and status in (404, 410):
        raise Missing("missing", f"{where} does not exist there (status {status})")
    found = read_problem(stream, problem(stream))
    reason = found.detail or found.code or "no reason given"
    message = f"{where} answered {status}: {reason}{_request(stream)}"
    if status in _LATER or status >= 500:
        wait_s = retry_after_s(stream.headers.get("retry-after"), now=datetime.now(UTC))
        raise Unavailable(f"http-{status}", message, retry_after_s=wait_s, status=status, problem=found.code)
    raise HttpRefused(f"http-{status}", message, status=status, problem=found.code)


def _request(stream: Stream) -> str:
    """Under which id the server's log tells of the request, when it says so."""
    found = _REQUEST_ID.fullmatch(stream.headers.get("x-request-id", ""))
    return "" if found is None else f" (request {found[0]})"


def read_problem(stream: Stream, body: bytes) -> Problem:
    """Read a problem+json *body*; anything else is an empty Problem."""
    if media_type(stream.headers) not in ("application/problem+json", "application/json"):
        return Problem()
    try:
        fields = Fields(read_object(body, what="problem", max_bytes=len(body)), "problem")
        code = fields.text_or_none("code", max_chars=64)
        detail = fields.text_or_none("detail", max_chars=500) or fields.text_or_none("title")
    except ProtocolRefused:
        return Problem()
    return Problem(code=code if code is not None and _CODE.fullmatch(code) else None, detail=detail)


def retry_after_s(text: str | None, *, now: datetime) -> int | None:
    """Read a Retry-After header, seconds or a date, as seconds of at most a day; None when unreadable."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return min(int(text), MAX_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return min(max(int((aware - now).total_seconds()), 0), MAX_RETRY_AFTER_S)


def media_type(headers: Mapping[str, str]) -> str:
    """The media type of Content-Type without parameters, in lower case; empty when absent."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def content_length(headers: Mapping[str, str]) -> int | None:
    """The announced length of the body, or None."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def check_encoding(stream: Stream, url: str) -> None:
    """Refuse a compressed body: it was not asked for, and a small one may expand without end."""
    encoding = stream.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise SourceRefused(
            "content-encoded", f"{shown_url(url)} answered with Content-Encoding {encoding[:40]!r}"
        )


def check_json(stream: Stream, body: bytes, url: str) -> JsonAnswer:
    """The answer, when its body is JSON by its own word, or empty.

    Raises:
        SourceRefused: code ``not-json``; something between, as a captive portal, answers in its place.
    """
    found = media_type(stream.headers)
    if body and found != "application/json" and not found.endswith("+json"):
        raise SourceRefused(
            "not-json",
            f"{shown_url(url)} answered {found[:60] or 'no content type'}, expected JSON: is a login page "
            "in between?",
        )
    return JsonAnswer(status=stream.status, headers=stream.headers, body=body)


def resumed_from(stream: Stream, url: str, *, offset: int, expected_bytes: int) -> int:
    """Where the body of a 200 or 206 is to be written: *offset*, or 0 when it starts anew.

    Raises:
        SourceRefused: code ``wrong-range``, ``wrong-length``, ``not-a-package`` or ``http-…``.
    """
    if media_type(stream.headers) == "text/html":
        raise SourceRefused(
            "not-a-package", f"{shown_url(url)} answered a web page: is a login page in between?"
        )
    announced = content_length(stream.headers)
    if stream.status == 200:
        if announced is not None and announced != expected_bytes:
            message = f"{shown_url(url)} announces {announced} bytes, {expected_bytes} were signed"
            raise SourceRefused("wrong-length", message)
        return 0
    if stream.status != 206:
        raise SourceRefused(
            f"http-{stream.status}", f"{shown_url(url)} answered {stream.status}, expected 200 or 206"
        )
    text = stream.headers.get("content-range", "")
    found = _CONTENT_RANGE.fullmatch(text.strip())
    whole = str(expected_bytes)
    if (
        found is None
        or int(found[1]) != offset
        or int(found[2]) != expected_bytes - 1
        or found[3] not in (whole, "*")
    ):
        raise SourceRefused(
            "wrong-range",
            f"{shown_url(url)} answered the range {text[:60]!r}, expected bytes "
            f"{offset}-{expected_bytes - 1}/{whole}",
        )
    if announced is not None and announced != expected_bytes - offset:
        raise SourceRefused(
            "wrong-length", f"{shown_url(url)} announces {announced} bytes for the range {text[:60]!r}"
        )
    return offset


def part_from(stream: Stream, url: str, *, start: int) -> int:
    """How many bytes of the body of a 200 or 206 come before *start*, where a part was asked for.

    Raises:
        SourceRefused: code ``wrong-range``, ``not-a-package`` or ``http-…``.
    """
    if media_type(stream.headers) == "text/html":
        raise SourceRefused(
            "not-a-package", f"{shown_url(url)} answered a web page: is a login page in between?"
        )
    if stream.status == 200:
        return start
    if stream.status != 206:
        raise SourceRefused(
            f"http-{stream.status}", f"{shown_url(url)} answered {stream.status}, expected 200 or 206"
        )
    text = stream.headers.get("content-range", "")
    found = _CONTENT_RANGE.fullmatch(text.strip())
    if found is None or int(found[1]) != start:
        raise SourceRefused(
            "wrong-range",
            f"{shown_url(url)} answered the range {text[:60]!r}, expected one from byte {start}",
        )
    return 0


def shown_url(url: str) -> str:
    """The address for messages and logs: without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def strong_etag(etag: str | None) -> str | None:
    """*etag* when it may be used in If-Range (RFC 9110, section 13.1.5: strong ones only)."""
    return None if etag is None or etag.startswith("W/") else etag


def redirected(url: str, location: str | None) -> str:
    """Where a redirect from *url* leads.

    Raises:
        SourceRefused: code ``bad-redirect``: nowhere, to another scheme, or from https to plain http.
    """
    target = urljoin(url, location or "")
    scheme = urlsplit(target).scheme
    if location is None or scheme not in ("http", "https"):
        raise SourceRefused(
            "bad-redirect", f"{shown_url(url)} redirects to {str(location)[:100]!r}, expected http(s)"
        )
    if urlsplit(url).scheme == "https" and scheme == "http":
        raise SourceRefused("bad-redirect", f"{shown_url(url)} redirects from https to plain http")
    return target
