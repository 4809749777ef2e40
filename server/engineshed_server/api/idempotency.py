"""Idempotency-Key on every POST of operators: see ``services.idempotency`` for why nothing is done twice.

The header is that of the IETF's draft (draft-ietf-httpapi-idempotency-key-header): the same key with another
request is 422, one that is still being carried out is 409. What is kept is the whole answer; sent again it
carries ``Idempotency-Replayed: true``.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, g, request

from engineshed_server.api import tokens
from engineshed_server.api.context import now, portal, working_on
from engineshed_server.errors import Refused
from engineshed_server.services.idempotency import KeptAnswer, KeyedRequest, run_once
from engineshed_server.services.portal import Portal

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY_CHARS = 255
_KEPT_HEADERS = ("Cache-Control", "Content-Type", "ETag", "Location")


def answer_once(run: Callable[[], Response], *, body: bytes) -> Response:
    """The answer of *run*, which is called only when the request's key has no answer yet.

    Raises:
        Refused, TryLater: as ``run_once``; code ``idempotency-key-unreadable``.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return run()
    if not (0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise Refused(
            "idempotency-key-unreadable",
            f"an {HEADER} has 1 to {MAX_KEY_CHARS} printable ASCII characters: draw a UUID for each request",
        )
    asked = KeyedRequest(
        owner=g.api_token.token_id,
        secret=tokens.bearer(request),
        key=key,
        content="\n".join([request.method, request.full_path, ""]).encode("utf-8") + body,
    )

    def work(within: Portal) -> KeptAnswer:
        with working_on(within):
            return _kept(run())

    done = run_once(portal(), asked, work=work, now=now())
    answer = Response(done.answer.body, status=done.answer.status, headers=dict(done.answer.headers))
    if done.replayed:
        answer.headers[REPLAYED] = "true"
    return answer


def _kept(answer: Response) -> KeptAnswer:
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    return KeptAnswer(status=answer.status_code, headers=headers, body=answer.get_data())
