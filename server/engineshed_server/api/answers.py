"""What a route hands back: a value to be written by its schema, and what stands beside it in the headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from flask import Request, Response
from marshmallow import Schema

from engineshed_packages.jsontext import Json
from engineshed_server.api.context import json_answer
from engineshed_server.api.preconditions import etag_of
from engineshed_server.api.schemas.paging import Position, write_cursor


@dataclass(frozen=True, slots=True)
class Shown:
    """A *value* to be shown by the route's schema.

    Attributes:
        revision: of what can be edited with If-Match; becomes the ETag.
        location: address of what was made.
        status: when it is another than the route's own.
    """

    value: object
    revision: int | None = None
    location: str | None = None
    status: HTTPStatus | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some items of a list.

    Attributes:
        after: the place of the last one, as one text or a tuple of them; None when there are no more.
    """

    items: Sequence[object]
    after: str | Position | None


def answer_shown(result: object, schema: Schema, *, status: HTTPStatus) -> Response:
    """The answer with what a view returned: a ``Shown``, or the value alone."""
    shown = result if isinstance(result, Shown) else Shown(result)
    answer = json_answer(schema.dump(shown.value), status=shown.status or status)
    if shown.revision is not None:
        answer.headers["ETag"] = etag_of(shown.revision)
    if shown.location is not None:
        answer.headers["Location"] = shown.location
    return answer


def answer_page(page: Page, schema: Schema, *, name: str, request: Request) -> Response:
    """The answer with *page* under *name*; ``Link`` leads on with the same filters."""
    items: list[Json] = schema.dump(page.items, many=True)
    answer = json_answer({name: items})
    if page.after is not None:
        place = (page.after,) if isinstance(page.after, str) else page.after
        query = urlencode({**request.args.to_dict(), "cursor": write_cursor(place)})
        answer.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return answer
