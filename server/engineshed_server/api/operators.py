"""What operators and programs read: releases and engines. Needs an API token of any scope.

Lists are paged: ``limit`` and ``cursor`` in, ``Link: <…>; rel="next"`` out while there is more.
Unknown parameters are refused.
"""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from engineshed_server.api import tokens
from engineshed_server.api.context import json_answer, now, portal, refuse_unknown_parameters
from engineshed_server.api.values import (
    decision_values,
    engine_detail_values,
    engine_values,
    release_values,
)
from engineshed_server.errors import Refused
from engineshed_server.services import engines, fleet, releases
from engineshed_server.services.engines import MAX_LIMIT

routes = Blueprint("operators", __name__, url_prefix="/api/v1")

DEFAULT_LIMIT = 100


@routes.get("/releases")
def list_releases() -> Response:
    """All published releases, newest first within a product."""
    tokens.operator(request)
    refuse_unknown_parameters()
    return json_answer({"releases": [release_values(one) for one in releases.list_releases(portal())]})


@routes.get("/releases/<product>/<version>")
def show_release(product: str, version: str) -> Response:
    """One release."""
    tokens.operator(request)
    refuse_unknown_parameters()
    return json_answer(release_values(releases.show_release(portal(), product, version=version)))


@routes.get("/engines")
def list_engines() -> Response:
    """A page of engines."""
    tokens.operator(request)
    refuse_unknown_parameters("limit", "cursor")
    limit = _limit(request.args.get("limit"))
    page = engines.list_engines(portal(), limit=limit, cursor=request.args.get("cursor"))
    answer = json_answer({"engines": [engine_values(one) for one in page.engines]})
    if page.next_cursor is not None:
        query = urlencode({"limit": limit, "cursor": page.next_cursor})
        answer.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return answer


@routes.get("/engines/<engine_id>")
def show_engine(engine_id: str) -> Response:
    """One engine with its last attempts and orders."""
    tokens.operator(request)
    refuse_unknown_parameters()
    return json_answer(engine_detail_values(engines.show_engine(portal(), engine_id)))


@routes.get("/engines/<engine_id>/explain")
def explain_engine(engine_id: str) -> Response:
    """What the engine's next poll would be answered, and why."""
    tokens.operator(request)
    refuse_unknown_parameters()
    return json_answer(decision_values(fleet.explain(portal(), engine_id, now=now())))


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MAX_LIMIT):
        raise Refused(
            "parameter-unreadable", f"limit is {text[:20]!r}, expected a whole number from 1 to {MAX_LIMIT}"
        )
    return int(text)
