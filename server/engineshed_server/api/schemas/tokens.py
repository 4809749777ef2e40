"""API tokens: what is asked for, what is shown, and the one answer with the secret."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields

from engineshed_server.api.schemas.base import AnswerSchema, Moment, RequestSchema, Text, Whole, choice
from engineshed_server.services.api_tokens import MAX_LIFE, MAX_NAME_CHARS, Scope


class ApiTokenSchema(AnswerSchema):
    """A token, without its secret."""

    id = fields.String(attribute="token_id")
    name = fields.String()
    scope = fields.Enum(Scope, by_value=True)
    created = Moment()
    expires = Moment(allow_none=True)
    used = Moment(allow_none=True, metadata={"description": "last use, to the minute or so"})
    revoked = Moment(allow_none=True)


class NewApiTokenSchema(ApiTokenSchema):
    """A token just made, with the token itself, this once."""

    token = fields.String(metadata={"description": "send it as Authorization: Bearer …; not shown again"})

    def get_attribute(self, obj: object, attr: str, default: object) -> object:
        """All but the secret stands in the record."""
        return super().get_attribute(obj, "secret" if attr == "token" else f"token.{attr}", default)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiTokenWanted:
    """What a new token is to be."""

    name: str
    scope: Scope
    expires_s: int | None


class ApiTokenWantedSchema(RequestSchema):
    """What a new token is to be."""

    makes = ApiTokenWanted

    name = Text(most=MAX_NAME_CHARS, required=True)
    scope = choice(Scope, required=True)
    expires_s = Whole(
        least=1,
        most=int(MAX_LIFE.total_seconds()),
        load_default=None,
        allow_none=True,
        metadata={"description": "seconds it lives; null: until it is revoked"},
    )
