"""Enrolment tokens: the terms they are made on, and how they are shown."""

from __future__ import annotations

from marshmallow import fields, validate

from engineshed_packages.target_names import PRODUCT_PATTERN
from engineshed_server.api.schemas.base import AnswerSchema, Flag, Moment, RequestSchema, Text, Whole, Word
from engineshed_server.domain.groups import GROUP_PATTERN
from engineshed_server.services.enrol_tokens import (
    DEFAULT_EXPIRES_S,
    DEFAULT_GROUP,
    MAX_EXPIRES_S,
    MAX_NAME_CHARS,
    MAX_USES,
    EnrolTerms,
)
from engineshed_server.services.networks import MAX_NETWORKS


class EnrolTermsSchema(RequestSchema):
    """What a new token is good for."""

    makes = EnrolTerms

    name = Text(least=0, most=MAX_NAME_CHARS, load_default="")
    group = Word(GROUP_PATTERN, load_default=DEFAULT_GROUP)
    product = Word(PRODUCT_PATTERN, load_default=None, allow_none=True)
    networks = fields.List(
        Text(most=64),
        load_default=(),
        validate=validate.Length(max=MAX_NETWORKS),
        metadata={"description": "address ranges it may be used from, as 10.20.0.0/16"},
    )
    needs_approval = Flag(load_default=False)
    replaces = Text(
        most=64,
        load_default=None,
        allow_none=True,
        metadata={"description": "id of the engine whose place the host takes"},
    )
    uses = Whole(least=1, most=MAX_USES, load_default=1)
    expires_s = Whole(least=1, most=MAX_EXPIRES_S, load_default=DEFAULT_EXPIRES_S)


class EnrolTokenSchema(AnswerSchema):
    """A token on its terms, never itself; ``state`` is good, used, expired or revoked."""

    id = fields.String(attribute="token_id")
    name = fields.String()
    state = fields.String()
    group = fields.String()
    product = fields.String(allow_none=True)
    networks = fields.List(fields.String())
    needs_approval = fields.Boolean()
    replaces = fields.String(allow_none=True)
    uses = fields.Integer()
    uses_left = fields.Integer()
    created = Moment()
    expires = Moment()
    revoked = Moment(allow_none=True)


class NewEnrolTokenSchema(EnrolTokenSchema):
    """A token just made; ``line`` is what is pasted on the host, and is shown only now."""

    line = fields.String(attribute="text")

    def get_attribute(self, obj: object, attr: str, default: object) -> object:
        """What is shown later, too, stands in the new token's ``token``."""
        return super().get_attribute(obj, attr if attr == "text" else f"token.{attr}", default)
