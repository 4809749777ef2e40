"""The OpenAPI side of a route: security, headers, and a problem for every status it can answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from http import HTTPStatus
from typing import Any

from marshmallow import Schema, fields

from engineshed_server import problems
from engineshed_server.api.access import Access, Asker
from engineshed_server.api.schemas.base import AnswerSchema
from engineshed_server.errors import ServerError

API_TOKEN = "api_token"
ACCESS_TOKEN = "access_token"
Document = dict[str, Any]  # a part of an OpenAPI document: JSON of any shape

SECURITY: Mapping[Asker, list[dict[str, list[str]]]] = {
    Asker.ANYBODY: [],
    Asker.ENGINE: [{ACCESS_TOKEN: []}],
    Asker.OPERATOR: [{API_TOKEN: []}],
    Asker.ENGINE_OR_OPERATOR: [{ACCESS_TOKEN: []}, {API_TOKEN: []}],
}
IF_MATCH: Document = {
    "in": "header",
    "name": "If-Match",
    "required": True,
    "description": "The ETag of what the edit was made from.",
    "schema": {"type": "string", "format": "etag"},
}
IDEMPOTENCY_KEY: Document = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "Drawn by the client for this request: sent again with it, the request is not done again.",
    "schema": {"type": "string", "format": "idempotency-key", "minLength": 1, "maxLength": 255},
}
REPLAYED: Document = {
    "description": "true: this is the answer of an earlier run.",
    "schema": {"type": "string"},
}
LINK: Document = {
    "description": 'The next page, rel="next"; absent on the last one.',
    "schema": {"type": "string"},
}
ETAG: Document = {
    "description": "For If-Match: the revision of what can be edited.",
    "schema": {"type": "string"},
}
LOCATION: Document = {"description": "The address of what was made.", "schema": {"type": "string"}}


def page_schema(item: type[Schema], name: str) -> Schema:
    """A page with items under *name*, for the document."""
    return _page_class(item, name)()


@cache
def _page_class(item: type[Schema], name: str) -> type[Schema]:
    title = f"{item.__name__.removesuffix('Schema')}PageSchema"
    return AnswerSchema.from_dict({name: fields.List(fields.Nested(item))}, name=title)


def of_operation(
    *,
    name: str,
    rule: str,
    access: Access,
    status: HTTPStatus,
    has_body: bool,
    edits: bool,
    makes: bool,
    paged: bool,
    refuses: Sequence[type[ServerError]],
) -> Document:
    """What flask-smorest does not see of an operators' JSON route."""
    refused = set(problems.OF_ANY_REQUEST | problems.OF_A_TOKEN) | _statuses(refuses) | _of_names(rule)
    headers: Document = {}
    document = _common(name, access)
    if has_body:
        refused |= problems.OF_A_BODY | problems.OF_FIELDS
    if edits:
        refused |= problems.OF_AN_EDIT
        document["parameters"] = [deepcopy(IF_MATCH)]
        headers["ETag"] = deepcopy(ETAG)
    if makes:
        refused |= problems.OF_A_KEY
        document["parameters"] = [deepcopy(IDEMPOTENCY_KEY)]
        headers["Idempotency-Replayed"] = deepcopy(REPLAYED)
    if paged:
        headers["Link"] = deepcopy(LINK)
    if status == HTTPStatus.CREATED:
        headers["Location"] = deepcopy(LOCATION)
    document["responses"] = problem_responses(refused)
    if headers:
        document["responses"][status] = {"headers": headers}
    return document


def of_raw(
    document: Mapping[str, Any], *, name: str, rule: str, access: Access, refuses: Sequence[type[ServerError]]
) -> Document:
    """The *document* of a route that reads and answers by itself, with the problems of every such route."""
    refused = set(problems.OF_ANY_REQUEST) | _statuses(refuses) | _of_names(rule)
    if access.asker is not Asker.ANYBODY:
        refused |= problems.OF_A_TOKEN
    if "requestBody" in document:
        refused |= problems.OF_A_BODY
    responses = {**problem_responses(refused), **document.get("responses", {})}
    return {**_common(name, access), **document, "responses": responses}


def _of_names(rule: str) -> frozenset[HTTPStatus]:
    """A name in the address that can be none is not found, whatever the view says."""
    return problems.OF_A_NAME if "<" in rule else frozenset()


def _common(name: str, access: Access) -> Document:
    document: Document = {"operationId": name, "security": SECURITY[access.asker]}
    if access.scopes:
        document["x-scopes"] = sorted(access.scopes)
    return document


def _statuses(refuses: Sequence[type[ServerError]]) -> set[HTTPStatus]:
    found = (problems.status_of_branch(kind) for kind in refuses)
    return {status for status in found if status is not None}


def problem_responses(statuses: set[HTTPStatus]) -> Document:
    """A reference to the documented problem for each of *statuses*."""
    return {str(int(status)): status.name for status in sorted(statuses)}
