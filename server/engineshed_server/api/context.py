"""What every route asks for: the portal, the clock, the parameters, and how an answer is written.

The portal is handed to the application by ``create_app`` and lives there, not in a global.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import cast

from flask import Flask, Response, current_app, g, request

from engineshed_packages.jsontext import Json, write_compact
from engineshed_server import problems
from engineshed_server.api.forwarded import HEADER, came_through_proxy, client_of
from engineshed_server.api.request_ids import request_id
from engineshed_server.domain.actors import Actor
from engineshed_server.problems import Problem
from engineshed_server.services.api_tokens import ApiToken
from engineshed_server.services.portal import Portal

_EXTENSION = "engineshed.portal"


def attach_portal(app: Flask, portal: Portal) -> None:
    """Make *portal* the one that the routes of *app* work on."""
    app.extensions[_EXTENSION] = portal


def portal() -> Portal:
    """The portal of the application that answers this request."""
    within: Portal | None = g.get("portal_within")
    # extensions is a dict of anything by Flask's definition; attach_portal is its only writer here.
    return cast(Portal, current_app.extensions[_EXTENSION]) if within is None else within


@contextmanager
def working_on(within: Portal) -> Iterator[None]:
    """Let ``portal`` give *within* to the views called in the block."""
    g.portal_within = within
    try:
        yield
    finally:
        del g.portal_within


def now() -> datetime:
    """The clock, read at the edge; everything below takes the time as an argument."""
    return datetime.now(UTC)


def client_address() -> str:
    """The network address of the client: of its connection, or as one of ``web.proxies`` tells it."""
    peer, proxies = request.remote_addr or "", portal().settings.proxies
    if not proxies:
        return peer
    return client_of(peer, request.headers.get(HEADER), proxies=proxies)


def path_in_front(path: Path) -> str | None:
    """Where the web server that passed this request on finds the stored file *path*; None: it does not."""
    here = portal()
    settings = here.settings
    if not settings.accel or not path.is_relative_to(here.folders.blobs):
        return None
    # Who asks us directly gets the bytes from us.
    peer, forwarded = request.remote_addr or "", request.headers.get(HEADER)
    if not came_through_proxy(peer, forwarded, proxies=settings.proxies):
        return None
    return f"{settings.accel}/{path.relative_to(here.folders.blobs).as_posix()}"


def actor_of(token: ApiToken) -> Actor:
    """The owner of *token* as the one who changes something by this request."""
    return Actor(f"token:{token.token_id}", address=client_address(), request=request_id())


def actor() -> Actor:
    """Who asks, on an operators' route: the token was checked before the view was called."""
    token: ApiToken = g.api_token
    return actor_of(token)


def json_answer(body: bytes | Mapping[str, Json], *, status: int = HTTPStatus.OK) -> Response:
    """An answer in JSON that no cache keeps."""
    data = body if isinstance(body, bytes) else write_compact(body)
    answer = Response(data, status=status, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def problem_answer(problem: Problem) -> Response:
    """The answer that tells of *problem*."""
    status = f"{problem.status} {problem.title}"
    answer = Response(problem.to_bytes(), status=status, content_type=problems.CONTENT_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    for name, value in problem.headers.items():
        answer.headers[name] = value
    return answer
