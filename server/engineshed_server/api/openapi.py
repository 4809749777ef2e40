"""The document of the API, OpenAPI 3.1, at ``/api/v1/openapi.json``: made once of what routes declare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

# flask-smorest carries no type information: this module and `routes` are where it is used.
import flask_smorest  # type: ignore[import-untyped]
from flask import Flask, Response, request
from werkzeug.routing import BaseConverter, Map

from engineshed_packages import __version__
from engineshed_server import problems
from engineshed_server.api.access import EVERYBODY, declare
from engineshed_server.api.documents import ACCESS_TOKEN, API_TOKEN
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.problems import ProblemSchema

PATH = "/api/v1/openapi.json"
DESCRIPTION = """\
The portal's API for operators and their programs, and what engines say to it.

Every error is a problem (RFC 9457) with a stable `code`; `detail` says what to do. Lists come in pages:
follow `Link`. Edits need `If-Match`. Times are RFC 3339 in UTC, sizes bytes. Operators' routes refuse unknown
fields and parameters, engines' routes ignore them.
"""


_HEADER = {"required": True, "schema": {"type": "string"}}


class NameConverter(BaseConverter):
    """A part of an address that names a thing; what cannot be a name is not found."""

    regex = r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}"
    part_isolating = True


class _Api(flask_smorest.Api):  # type: ignore[misc]  # its base is unchecked, see above
    """flask-smorest's collector of documents; errors are answered by `app`, not by it."""

    ERROR_SCHEMA = ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None  # each status is documented where it can come

    def _register_error_handlers(self) -> None:
        """Every error of the application has one place already."""

    def _register_responses(self) -> None:
        """One response for each status of a problem, put into the document when a route refers to it."""
        for status in HTTPStatus:
            if status >= HTTPStatus.BAD_REQUEST:
                content = {problems.CONTENT_TYPE: {"schema": ProblemSchema}}
                headers = dict.fromkeys(problems.headers_of(status), _HEADER)
                response = {"description": status.phrase, "headers": headers, "content": content}
                self.spec.components.response(status.name, response, lazy=True)


def add_converters(url_map: Map) -> None:
    """Let routes write ``<name:…>``; before any route is registered."""
    url_map.converters["name"] = NameConverter


def register_documented(app: Flask, documented: Iterable[Routes]) -> None:
    """Register *documented* routes, and the document that they make together."""
    app.config.update(
        API_TITLE="Engineshed portal",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=None,
    )
    api = _Api(app, spec_kwargs={"info": {"description": DESCRIPTION}})
    api.register_converter(
        NameConverter, lambda _: {"type": "string", "pattern": f"^{NameConverter.regex}$", "maxLength": 200}
    )
    api.spec.components.security_scheme(
        API_TOKEN, {"type": "http", "scheme": "bearer", "description": "An API token; x-scopes says which."}
    )
    api.spec.components.security_scheme(
        ACCESS_TOKEN, {"type": "http", "scheme": "bearer", "description": "An engine's access token."}
    )
    for routes in documented:
        api.register_blueprint(routes.blueprint)
    _serve(app, api.spec.to_dict())


def _serve(app: Flask, document: dict[str, Any]) -> None:
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    etag = hashlib.sha256(data).hexdigest()

    @declare(EVERYBODY)
    def openapi_json() -> Response:
        answer = Response(data, content_type="application/json")
        answer.headers["Cache-Control"] = "no-cache"
        answer.set_etag(etag)
        answer.make_conditional(request)
        return answer

    app.add_url_rule(PATH, "openapi", openapi_json)
