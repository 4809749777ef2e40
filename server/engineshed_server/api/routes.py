"""How a route is declared: who may call it, what it takes and answers; all of it checked and documented.

    routes = Routes("engines", "Engines as operators see them.")

    @routes.get("/engines/<name:engine_id>", needs=READERS, answer=EngineSchema, refuses=(NotFound,))
    def show_engine(engine_id: str) -> Shown: ...

``get``, ``page``, ``post`` and ``patch`` are for operators' JSON routes and do everything in one order: token
and scope, unknown parameters, If-Match, Idempotency-Key, query, body, view, answer by schema. ``raw`` only
documents, and checks an operator's token: the view reads and answers by itself, as uploads and the engines'
own routes do.
The conventions for those who add routes are in the docstring of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from http import HTTPStatus
from typing import Any, TypeVar

# flask-smorest carries no type information: this module and `openapi` are where it is used.
import flask_smorest  # type: ignore[import-untyped]
from flask import Response, g, request
from marshmallow import Schema

from engineshed_server.api import documents, tokens
from engineshed_server.api.access import Access, Asker, declare, operators
from engineshed_server.api.answers import Page, answer_page, answer_shown
from engineshed_server.api.arguments import BODY, QUERY, Arguments, body_of, refuse_body, refuse_unknown
from engineshed_server.api.idempotency import answer_once
from engineshed_server.api.preconditions import expected_by
from engineshed_server.api.schemas.base import AnswerSchema, RequestSchema
from engineshed_server.api.schemas.paging import PageQuerySchema
from engineshed_server.errors import ServerError
from engineshed_server.services.api_tokens import Scope

PREFIX = "/api/v1"

View = TypeVar("View", bound=Callable[..., Any])
Refusals = Sequence[type[ServerError]]


class _Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # its base is unchecked, see above
    ARGUMENTS_PARSER = Arguments()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """What one route was declared to be."""

    method: str
    rule: str
    access: Access
    answer: type[Schema]
    status: HTTPStatus = HTTPStatus.OK
    page: str | None = None
    query: type[RequestSchema] | None = None
    body: type[RequestSchema] | None = None
    edits: bool = False
    refuses: Refusals = ()


class Routes:
    """The routes of one topic, below ``/api/v1`` unless another *prefix* is given.

    Attributes:
        blueprint: what the application registers.
    """

    def __init__(self, name: str, description: str, *, prefix: str = PREFIX) -> None:
        self.blueprint = _Blueprint(name, __name__, url_prefix=prefix, description=description)

    def get(
        self,
        rule: str,
        *,
        needs: frozenset[Scope],
        answer: type[AnswerSchema],
        query: type[RequestSchema] | None = None,
        refuses: Refusals = (),
    ) -> Callable[[View], View]:
        """GET one thing."""
        return self._operation(
            _Operation(
                method="GET", rule=rule, access=operators(needs), answer=answer, query=query, refuses=refuses
            )
        )

    def page(
        self,
        rule: str,
        *,
        needs: frozenset[Scope],
        name: str,
        item: type[AnswerSchema],
        query: type[PageQuerySchema] = PageQuerySchema,
        refuses: Refusals = (),
    ) -> Callable[[View], View]:
        """GET a list in pages: the view returns a ``Page``, its items are answered under *name*."""
        return self._operation(
            _Operation(
                method="GET",
                rule=rule,
                access=operators(needs),
                answer=item,
                page=name,
                query=query,
                refuses=refuses,
            )
        )

    def post(
        self,
        rule: str,
        *,
        needs: frozenset[Scope],
        answer: type[AnswerSchema],
        body: type[RequestSchema] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
        refuses: Refusals = (),
    ) -> Callable[[View], View]:
        """POST: make something (*status* CREATED, with ``Shown.location``) or do something, once a key."""
        return self._operation(
            _Operation(
                method="POST",
                rule=rule,
                access=operators(needs),
                answer=answer,
                body=body,
                status=status,
                refuses=refuses,
            )
        )

    def patch(
        self,
        rule: str,
        *,
        needs: frozenset[Scope],
        answer: type[AnswerSchema],
        body: type[RequestSchema],
        refuses: Refusals = (),
    ) -> Callable[[View], View]:
        """PATCH: edit something from a known revision; the view is given ``expected``."""
        return self._operation(
            _Operation(
                method="PATCH",
                rule=rule,
                access=operators(needs),
                answer=answer,
                body=body,
                edits=True,
                refuses=refuses,
            )
        )

    def raw(
        self, method: str, rule: str, *, access: Access, document: Mapping[str, Any], refuses: Refusals = ()
    ) -> Callable[[View], View]:
        """Another kind of route: only documented as *document* says, and an operator's token is checked.

        *document* is an OpenAPI operation; the problems that follow from *access* and *refuses* come on top.
        """

        def decorator(view: View) -> View:
            known = documents.of_raw(
                document, rule=rule, access=access, refuses=refuses, name=self._name_of(view)
            )
            checked: Callable[..., Any] = view
            if access.asker is Asker.OPERATOR:
                checked = _checked(view, access)
            # Set, not wrapped by smorest's own decorator: the engines' routes stay as light as they are.
            checked._apidoc = {"manual_doc": known}  # type: ignore[attr-defined]
            self._add(rule, declare(access)(checked), method=method, name=view.__name__)
            return view

        return decorator

    def _operation(self, operation: _Operation) -> Callable[[View], View]:
        def decorator(view: View) -> View:
            blueprint = self.blueprint
            schema = operation.answer()
            shown = documents.page_schema(operation.answer, operation.page) if operation.page else schema
            made = blueprint.response(operation.status, shown)(_answering(view, operation, schema))
            if operation.query is not None:
                made = blueprint.arguments(operation.query, location=QUERY, arg_name="query")(made)
            if operation.body is not None:
                made = blueprint.arguments(operation.body, location=BODY, arg_name="body")(made)
            known = documents.of_operation(
                rule=operation.rule,
                access=operation.access,
                status=operation.status,
                has_body=operation.body is not None or operation.method == "POST",
                edits=operation.edits,
                makes=operation.method == "POST",
                paged=operation.page is not None,
                refuses=operation.refuses,
                name=self._name_of(view),
            )
            made = blueprint.doc(**known)(_guarded(made, operation))
            self._add(
                operation.rule, declare(operation.access)(made), method=operation.method, name=view.__name__
            )
            return view

        return decorator

    def _name_of(self, view: Callable[..., Any]) -> str:
        return f"{self.blueprint.name}.{view.__name__}"

    def _add(self, rule: str, view: Callable[..., Any], *, method: str, name: str) -> None:
        self.blueprint.add_url_rule(rule, name, view, methods=[method])


def _checked(view: Callable[..., Any], access: Access) -> Callable[..., Any]:
    @wraps(view)
    def checked(**kwargs: Any) -> Any:
        g.api_token = tokens.operator(request, access.scopes)
        return view(**kwargs)

    return checked


def _guarded(view: Callable[..., Any], operation: _Operation) -> Callable[..., Any]:
    """Outermost: nothing of the request is looked at before it is known who asks."""

    @wraps(view)
    def guarded(**kwargs: Any) -> Any:
        g.api_token = tokens.operator(request, operation.access.scopes)
        if operation.query is None:
            refuse_unknown(request)
        if operation.edits:
            kwargs["expected"] = expected_by(request)
        if operation.method != "POST":
            return view(**kwargs)
        if operation.body is None:
            refuse_body(request)
        body = b"" if operation.body is None else body_of(request)
        return answer_once(partial(view, **kwargs), body=body)

    return guarded


def _answering(view: Callable[..., Any], operation: _Operation, schema: Schema) -> Callable[..., Response]:
    """Innermost: what the view returns, written by its schema."""

    @wraps(view)
    def answering(**kwargs: Any) -> Response:
        result = view(**kwargs)
        if operation.page is not None:
            assert isinstance(result, Page), f"{view.__name__} is declared as a page"
            return answer_page(result, schema, name=operation.page, request=request)
        return answer_shown(result, schema, status=operation.status)

    return answering
