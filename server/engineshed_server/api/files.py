"""Answering with a file: HEAD, one range, strong ETag, If-Range, and the kernel does the copying.

Werkzeug's own range answers read the file through Python and lose ``sendfile``, at four times the CPU.
Here the file is put to its offset, handed to the server as ``wsgi.file_wrapper`` and bounded by an
explicit Content-Length: gunicorn then calls ``sendfile`` for whole files and for ranges alike.
Where a web server in front has the files as well (``web.accel``), it is told which one to send.
Packages are content-addressed, so their answers never change; nothing is ever compressed on the way.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from flask import Request, Response

from engineshed_server import problems
from engineshed_server.api.context import problem_answer
from engineshed_server.api.ranges import Conditions, Selection, Verdict, select
from engineshed_server.api.request_ids import request_id
from engineshed_server.errors import NotFound, ServerError

CHUNK_BYTES = 256 * 1024  # only where the server has no sendfile
FOREVER = "public, max-age=31536000, immutable"
FOREVER_PRIVATE = "private, max-age=31536000, immutable"  # what needs a token is not for shared caches
ALWAYS_ASK = "no-cache"
HANDED_OVER = "X-Accel-Redirect"
# nginx answers them by the file's date, or without our entity tag.
_OTHER_CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """What is said of the bytes that are sent.

    Attributes:
        sha256: hexadecimal; the ETag and the Repr-Digest are made of it.
        download_name: name a browser saves it under, ASCII without quotes; None: shown inline.
    """

    length_bytes: int
    sha256: str
    content_type: str
    cache_control: str
    download_name: str | None = None

    @property
    def etag(self) -> str:
        """The strong entity tag, quotes included."""
        return f'"{self.sha256}"'


@dataclass(frozen=True, slots=True)
class Sent:
    """What of a file is sent: how much, whether as a whole, and whether by the web server in front."""

    count_bytes: int
    whole: bool
    by_front: bool


def _nobody(sent: Sent) -> None:
    """Is told of every file that is sent."""


def open_stored(path: Path, length_bytes: int) -> BinaryIO:
    """Open a stored file that was recorded with *length_bytes*.

    Raises:
        NotFound: code ``bytes-missing``; the row is there, the bytes are not.
        ServerError: code ``bytes-damaged``; they have another size than recorded (answered 500).
    """
    try:
        body = path.open("rb")
    except FileNotFoundError as err:
        raise NotFound("bytes-missing", "the file is listed, but its bytes are gone from the store") from err
    found = os.fstat(body.fileno()).st_size
    if found != length_bytes:
        body.close()
        raise ServerError("bytes-damaged", f"{path} has {found} bytes, {length_bytes} were stored")
    return body


def answer_with(
    shown: Representation,
    body: BinaryIO,
    *,
    request: Request,
    in_front: str | None = None,
    tell: Callable[[Sent], None] = _nobody,
) -> Response:
    """Answer GET or HEAD with *body* or a part of it, with 200, 206, 304, 412 or 416; *body* gets closed.

    Args:
        in_front: where the web server in front finds the same bytes; None: it does not, or there is none.
        tell: called when bytes of the file are going to be sent, by us or in front.
    """
    head = request.method == "HEAD"
    conditions = Conditions(
        if_match=request.headers.get("If-Match"),
        if_none_match=request.headers.get("If-None-Match"),
        if_range=request.headers.get("If-Range"),
        range=None if head else request.headers.get("Range"),  # RFC 9110, section 14.2: GET only
    )
    chosen = select(conditions, length_bytes=shown.length_bytes, etag=shown.etag)
    sent = chosen.verdict in (Verdict.WHOLE, Verdict.PART)
    answer = _described(shown, chosen) if sent else _without_body(shown, chosen.verdict, request=request)
    if head or not sent:
        body.close()
        return answer
    if in_front is not None and not _front_sends_the_same(request, chosen):
        in_front = None
    whole = chosen.verdict is Verdict.WHOLE
    tell(Sent(chosen.count_bytes, whole=whole, by_front=in_front is not None))
    if in_front is not None:
        body.close()
        return _handed_over(shown, in_front)
    body.seek(chosen.offset)
    wrapper = request.environ.get("wsgi.file_wrapper")
    answer.response = _Pieces(body, chosen.count_bytes) if wrapper is None else wrapper(body, CHUNK_BYTES)
    answer.direct_passthrough = True  # the server must see its own wrapper, or it cannot use sendfile
    return answer


def _described(shown: Representation, chosen: Selection) -> Response:
    answer = Response(content_type=shown.content_type)
    headers = answer.headers
    headers["ETag"] = shown.etag
    headers["Accept-Ranges"] = "bytes"
    headers["Cache-Control"] = shown.cache_control
    headers["Content-Length"] = str(chosen.count_bytes)
    digest = base64.b64encode(bytes.fromhex(shown.sha256)).decode("ascii")
    headers["Repr-Digest"] = f"sha-256=:{digest}:"  # RFC 9530: of the whole file, also for a range
    headers["X-Content-Type-Options"] = "nosniff"
    if shown.download_name is not None:
        headers["Content-Disposition"] = f'attachment; filename="{shown.download_name}"'
    if chosen.verdict is Verdict.PART:
        answer.status_code = HTTPStatus.PARTIAL_CONTENT
        last = chosen.offset + chosen.count_bytes - 1
        headers["Content-Range"] = f"bytes {chosen.offset}-{last}/{shown.length_bytes}"
    return answer


def _front_sends_the_same(request: Request, chosen: Selection) -> bool:
    """Whether nginx, which sees the same request and our entity tag, makes the same choice of bytes."""
    if any(name in request.headers for name in _OTHER_CONDITIONS):
        return False
    return chosen.verdict is Verdict.PART or "Range" not in request.headers


def _handed_over(shown: Representation, in_front: str) -> Response:
    """The whole file's headers without a body: the web server in front adds it, and makes a range of it."""
    whole = Selection(verdict=Verdict.WHOLE, count_bytes=shown.length_bytes)
    answer = _described(shown, whole)
    answer.headers["Content-Length"] = "0"
    answer.headers[HANDED_OVER] = in_front
    return answer


def _without_body(shown: Representation, verdict: Verdict, *, request: Request) -> Response:
    headers = {"ETag": shown.etag}
    if verdict is Verdict.NOT_MODIFIED:
        kept = {**headers, "Cache-Control": shown.cache_control}
        return Response(status=HTTPStatus.NOT_MODIFIED, headers=kept)
    status = HTTPStatus.PRECONDITION_FAILED
    if verdict is Verdict.UNSATISFIABLE:
        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        headers["Content-Range"] = f"bytes */{shown.length_bytes}"
    problem = problems.of_status(
        status, method=request.method, path=request.path, instance=request_id() or "", headers=headers
    )
    return problem_answer(problem)


class _Pieces:
    """The same for a server without file wrapper, as the one of the tests: bounded, closed at the end."""

    def __init__(self, body: BinaryIO, count_bytes: int) -> None:
        self._body = body
        self._left_bytes = count_bytes

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._body.read(min(CHUNK_BYTES, self._left_bytes))
        if not piece:
            raise StopIteration
        self._left_bytes -= len(piece)
        return piece

    def close(self) -> None:
        """Called by the server, as PEP 3333 demands."""
        self._body.close()
