"""API tokens: who may ask this portal for what."""

from __future__ import annotations

from http import HTTPStatus

from engineshed_server.api.answers import Page, Shown
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import PREFIX, Routes
from engineshed_server.api.schemas.paging import Cursor, PageQuery, PageQuerySchema, Place
from engineshed_server.api.schemas.tokens import (
    ApiTokenSchema,
    ApiTokenWanted,
    ApiTokenWantedSchema,
    NewApiTokenSchema,
)
from engineshed_server.errors import NotFound
from engineshed_server.services import api_tokens
from engineshed_server.services.api_tokens import ADMINS, ApiToken

routes = Routes("tokens", "API tokens: scoped, revocable, shown once.")


class ApiTokenQuerySchema(PageQuerySchema):
    """A place in this list is a time and an id."""

    cursor = Cursor(Place.MOMENT, Place.TEXT)


@routes.page("/tokens", needs=ADMINS, name="tokens", item=ApiTokenSchema, query=ApiTokenQuerySchema)
def list_tokens(query: PageQuery) -> Page:
    """List all tokens ever made, the oldest first."""
    page = api_tokens.list_api_tokens(portal(), limit=query.limit, after=query.cursor)
    return Page(page.tokens, page.after)


@routes.post(
    "/tokens", needs=ADMINS, body=ApiTokenWantedSchema, answer=NewApiTokenSchema, status=HTTPStatus.CREATED
)
def create_token(body: ApiTokenWanted) -> Shown:
    """Make a token; its secret is in this answer and nowhere else."""
    made = api_tokens.create_api_token(
        portal(), name=body.name, scope=body.scope, expires_s=body.expires_s, actor=actor(), now=now()
    )
    return Shown(made, location=f"{PREFIX}/tokens/{made.token_id}")


@routes.get("/tokens/<name:token_id>", needs=ADMINS, answer=ApiTokenSchema, refuses=(NotFound,))
def show_token(token_id: str) -> ApiToken:
    """Show one token."""
    return api_tokens.show_api_token(portal(), token_id)


@routes.post("/tokens/<name:token_id>/revoke", needs=ADMINS, answer=ApiTokenSchema, refuses=(NotFound,))
def revoke_token(token_id: str) -> ApiToken:
    """Take a token out of force, in every process within one second."""
    return api_tokens.revoke_api_token(portal(), token_id, actor=actor(), now=now())
