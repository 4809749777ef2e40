"""Enrolment tokens: with what engines join, on which terms."""

from __future__ import annotations

from http import HTTPStatus

from engineshed_server.api.answers import Page, Shown
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import PREFIX, Routes
from engineshed_server.api.schemas.enrol_tokens import (
    EnrolTermsSchema,
    EnrolTokenSchema,
    NewEnrolTokenSchema,
)
from engineshed_server.api.schemas.paging import PageQuery
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services import enrol_tokens
from engineshed_server.services.api_tokens import ADMINS, READERS
from engineshed_server.services.enrol_tokens import EnrolTerms, EnrolToken

routes = Routes("enrol-tokens", "Enrolment tokens: with what engines join, on which terms.")


@routes.page("/enrol-tokens", needs=READERS, name="tokens", item=EnrolTokenSchema)
def list_enrol_tokens(query: PageQuery) -> Page:
    """List enrolment tokens, by id."""
    page = enrol_tokens.list_enrol_tokens(portal(), now=now(), limit=query.limit, cursor=query.after)
    return Page(page.tokens, page.next_cursor)


@routes.post(
    "/enrol-tokens",
    needs=ADMINS,
    answer=NewEnrolTokenSchema,
    body=EnrolTermsSchema,
    status=HTTPStatus.CREATED,
    refuses=(Refused, NotFound),
)
def create_enrol_token(body: EnrolTerms) -> Shown:
    """Make an enrolment token; its line is in this answer only."""
    made = enrol_tokens.create_enrol_token(portal(), body, actor=actor(), now=now())
    return Shown(made, location=f"{PREFIX}/enrol-tokens/{made.token.token_id}")


@routes.get("/enrol-tokens/<name:token_id>", needs=READERS, answer=EnrolTokenSchema, refuses=(NotFound,))
def show_enrol_token(token_id: str) -> EnrolToken:
    """Show one enrolment token."""
    return enrol_tokens.show_enrol_token(portal(), token_id, now=now())


@routes.post(
    "/enrol-tokens/<name:token_id>/revoke", needs=ADMINS, answer=EnrolTokenSchema, refuses=(NotFound,)
)
def revoke_enrol_token(token_id: str) -> EnrolToken:
    """Let nobody join with the token any more."""
    enrol_tokens.revoke_enrol_token(portal(), token_id, actor=actor(), now=now())
    return enrol_tokens.show_enrol_token(portal(), token_id, now=now())
