"""Reading what operators send: the query and the JSON body, by schema, as strict as the documents say.

Bodies come through ``bodies`` and the format's ``read_object``: capped before the first byte is read, no NaN,
no name twice, no nesting without end. What a schema refuses names every field: 400 for the query, 422 for a
body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from flask import Request, g
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser

from engineshed_packages.jsontext import Json, read_object
from engineshed_server.api.bodies import read_json_body
from engineshed_server.api.context import portal
from engineshed_server.errors import Refused

MAX_BODY_BYTES = 256 * 1024
MAX_TOLD_FAULTS = 10
QUERY = "query"
BODY = "json"


class Arguments(FlaskParser):
    """webargs' parser with our own reading and our own errors."""

    def __init__(self) -> None:
        super().__init__(unknown=None)  # the schema's own setting, which is to refuse

    def load_querystring(self, req: Request, schema: Schema) -> Mapping[str, str]:
        """The query; a name that stands twice is refused, not half ignored."""
        refuse_unknown(req, frozenset(schema.fields))
        for name, values in req.args.lists():
            if len(values) > 1:
                raise Refused(
                    "parameter-unreadable", f"the parameter {name[:40]!r} stands twice: send it once"
                )
        return req.args.to_dict()

    def load_json(self, req: Request, schema: Schema) -> Mapping[str, Json]:
        """The body, one JSON object."""
        return read_object(body_of(req), what="body", max_bytes=MAX_BODY_BYTES)

    def handle_error(
        self,
        error: ValidationError,
        req: Request,
        schema: Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Tell what was wrong with which field.

        Raises:
            Refused: code ``parameter-unreadable`` or ``fields-refused``.
        """
        messages: Mapping[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        if QUERY in messages:
            raise Refused("parameter-unreadable", _told("query", messages[QUERY])) from error
        raise Refused("fields-refused", _told("body", messages[BODY])) from error


def _told(where: str, messages: Any) -> str:
    faults = "; ".join(list(_faults(messages))[:MAX_TOLD_FAULTS])
    return f"{where}: {faults}; see /api/v1/openapi.json for what is expected"


def _faults(messages: Any, path: str = "") -> Iterator[str]:
    """``name: what is wrong``, for each field, nested ones with their path."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            whole = name == "_schema"
            yield from _faults(inner, path if whole else f"{path}.{str(name)[:40]}".removeprefix("."))
        return
    for text in messages if isinstance(messages, list) else [messages]:
        yield f"{path or 'all'}: {str(text).rstrip('.')}"


def body_of(request: Request) -> bytes:
    """The JSON body of the request, read once.

    Raises:
        Refused, TooLarge: as ``read_json_body``.
    """
    if "json_body" not in g:
        g.json_body = read_json_body(request, max_bytes=min(MAX_BODY_BYTES, portal().settings.json_bytes))
    body: bytes = g.json_body
    return body


def refuse_body(request: Request) -> None:
    """Refuse a body on a route that takes none: what is in it would silently be nothing. ``{}`` is nothing.

    Raises:
        Refused: code ``fields-refused``, or as ``body_of``.
    """
    if request.environ.get("CONTENT_LENGTH", "") in ("", "0") and "Transfer-Encoding" not in request.headers:
        return
    names = sorted(read_object(body_of(request), what="body", max_bytes=MAX_BODY_BYTES))
    if names:
        raise Refused("fields-refused", f"body: {names[0][:40]!r} is unknown; this request takes no fields")


def refuse_unknown(request: Request, known: frozenset[str] = frozenset()) -> None:
    """Refuse query parameters a route does not know, so that a typo is not silently nothing.

    Raises:
        Refused: code ``parameter-unknown``.
    """
    unknown = sorted(set(request.args) - known)
    if unknown:
        expected = ", ".join(sorted(known)) if known else "none"
        raise Refused("parameter-unknown", f"unknown parameter {unknown[0][:40]!r}; known: {expected}")
