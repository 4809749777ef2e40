"""The fast lane of the poll: the answer "nothing new", given before the web framework is asked.

A fleet asks this one question thousands of times for every other request. The lane is a WSGI application in
front of the real one. It answers a poll whose token is good, whose body can be read and for which there is no
news, from memory alone; whatever is unusual it hands on, with the body it has read already, to the route in
``engines``, which tells errors and gives orders. So the lane has no rule of its own: it may only be faster.

The plainest polls do not even come so far: who watches the connections asks ``answer_at_once``, which waits
for nothing. It does no I/O, takes locks that are held for a moment only, and its work is bounded by the sizes
that ``read_poll_request`` lets through.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import BinaryIO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from engineshed_packages.errors import PackagesError
from engineshed_packages.protocol import MAX_POLL_BYTES, Poll, PollAnswer
from engineshed_server.api import forwarded, metering
from engineshed_server.api.bodies import BODY_READ
from engineshed_server.api.connections import Connection
from engineshed_server.api.context import now
from engineshed_server.api.forwarded import client_of
from engineshed_server.api.poll_request import BEARER, PATH, PollRequest
from engineshed_server.api.request_ids import HEADER, begin_request, end_request, request_id
from engineshed_server.domain.metrics import Cell
from engineshed_server.errors import ServerError
from engineshed_server.services import access, fleet
from engineshed_server.services.portal import Portal

logger = logging.getLogger(__name__)

Headers = list[tuple[str, str]]
_SENT_ID = "HTTP_" + HEADER.upper().replace("-", "_")
_FORWARDED = "HTTP_" + forwarded.HEADER.upper().replace("-", "_")
# With one of these the framework must look at the request.
_UNUSUAL = ("HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING", "HTTP_EXPECT")


class PollLane:
    """The WSGI application of *portal* that answers polls without news itself and passes on the rest."""

    def __init__(self, portal: Portal, application: WSGIApplication) -> None:
        self._portal = portal
        self._application = application
        self._counted: dict[str, Cell] = {}  # by code
        self._max_bytes = min(MAX_POLL_BYTES, portal.settings.json_bytes)
        self._writes_lines = portal.settings.log_level == "debug"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 says."""
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "POST":
            return self._application(environ, start_response)
        begin_request(environ.get(_SENT_ID))
        try:
            answer = self._answer(environ)
            if answer is None:
                return self._application(environ, start_response)
            start_response("200 OK", _headers(answer))
            return [answer]
        finally:
            end_request()

    def answer_at_once(self, request: PollRequest, *, peer: str) -> tuple[Headers, bytes] | None:
        """Headers and body of the answer to a poll from *peer*; None when a thread shall give it."""
        if len(request.body) > self._max_bytes or self._writes_lines:
            return None  # a line of the log would be waited for
        moment = now()
        begin_request(request.sent_id)
        try:
            engine_id = access.recall_engine(self._portal, request.token, now=moment)
            if engine_id is None:
                return None
            client = self._client_of(peer, request.forwarded)
            answer = self._ask(engine_id, request.body, client=client, moment=moment)
            body = None if answer is None else answer.to_bytes()
            return None if body is None else (_headers(body), body)
        except (ServerError, PackagesError):
            return None
        finally:
            end_request()

    def _answer(self, environ: WSGIEnvironment) -> bytes | None:
        """The body of the answer; None when the route shall give it."""
        credentials: str = environ.get("HTTP_AUTHORIZATION", "")
        if not credentials.startswith(BEARER):
            return None
        moment = now()
        try:
            # Who may not poll is not read from.
            engine_id = access.verify_engine(self._portal, credentials[len(BEARER) :], now=moment)
            body = self._read(environ)
            if body is None:
                return None
            client = self._client_of(environ.get("REMOTE_ADDR", ""), environ.get(_FORWARDED))
            answer = self._ask(engine_id, body, client=client, moment=moment)
        except (ServerError, PackagesError):
            return None
        if answer is None:
            return None
        logger.debug("poll answered", extra={"engine": engine_id, "code": answer.code})
        return answer.to_bytes()

    def _ask(self, engine_id: str, body: bytes, *, client: str, moment: datetime) -> PollAnswer | None:
        poll = Poll.from_bytes(body)
        answer = fleet.answer_without_news(self._portal, engine_id, poll=poll, now=moment, address=client)
        if answer is not None:
            self._count(answer.code)
        return answer

    def _count(self, code: str) -> None:
        counted = self._counted.get(code)
        if counted is None:
            counted = self._counted[code] = metering.quiet_polls(self._portal.meters, code)
        counted.add()

    def _client_of(self, peer: str, sent: str | None) -> str:
        """As ``context.client_address`` says it, without a request of the framework."""
        proxies = self._portal.settings.proxies
        return client_of(peer, sent, proxies=proxies) if proxies else peer

    def _read(self, environ: WSGIEnvironment) -> bytes | None:
        """The whole body, which can be read again from *environ*; None for a body of another kind."""
        length: str = environ.get("CONTENT_LENGTH", "")
        usual = environ.get("CONTENT_TYPE") == "application/json" and length.isascii() and length.isdigit()
        if not usual or len(length) > 6 or any(name in environ for name in _UNUSUAL):
            return None
        if int(length) > self._max_bytes:
            return None
        stream: BinaryIO = environ["wsgi.input"]
        connection = environ.get("gunicorn.socket")
        if isinstance(connection, Connection):
            try:
                with connection.awaiting_body():
                    body = stream.read(int(length))
            except TimeoutError:
                environ["wsgi.input"] = _TooSlow()
                return None
        else:
            body = stream.read(int(length))
        environ["wsgi.input"] = io.BytesIO(body)
        if len(body) != int(length):
            return None
        environ[BODY_READ] = True
        return body


def _headers(answer: bytes) -> Headers:
    return [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(answer))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        (HEADER, request_id() or ""),
    ]


class _TooSlow(io.RawIOBase):
    """The body of a peer that was waited for long enough: the route hears the same once more."""

    def read(self, size: int = -1, /) -> bytes:
        """Raise what reading raised."""
        raise TimeoutError("the peer sends too slowly")
