"""Emergency stops: what is on, and what is asked."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields

from engineshed_packages.target_names import CHANNEL_PATTERN, PRODUCT_PATTERN
from engineshed_server.api.schemas.base import AnswerSchema, Moment, RequestSchema, Text, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAsked:
    """The stop that is to begin or to end."""

    product: str | None
    channel: str | None
    reason: str


class StopAskedSchema(RequestSchema):
    """What is covered (null: all of it), and why."""

    makes = StopAsked

    product = Word(PRODUCT_PATTERN, allow_none=True, load_default=None)
    channel = Word(CHANNEL_PATTERN, allow_none=True, load_default=None)
    reason = Text(most=500, required=True)


class StopSchema(AnswerSchema):
    """An emergency stop that is on."""

    product = fields.String(attribute="stop.product", allow_none=True, metadata={"description": "null: all"})
    channel = fields.String(attribute="stop.channel", allow_none=True, metadata={"description": "null: all"})
    reason = fields.String(attribute="stop.reason")
    began = Moment()
    began_by = fields.String()


class StopChangedSchema(AnswerSchema):
    """What became of turning a stop on or off."""

    stop = fields.Nested(StopSchema, attribute="record")
    changed = fields.Boolean(metadata={"description": "false: it was on already, with the reason it had"})
    engines = fields.Integer(metadata={"description": "how many enrolled engines it covers"})
    others = fields.List(fields.Nested(StopSchema), metadata={"description": "stops that are on beside it"})
