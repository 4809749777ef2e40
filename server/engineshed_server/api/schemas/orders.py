"""Orders: what is asked of engines, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import fields, post_load, validate

from engineshed_packages.orders import Window
from engineshed_packages.target_names import UPDATER_PRODUCT
from engineshed_server.api.schemas.base import AnswerSchema, Flag, Instant, RequestSchema, Text, Whole
from engineshed_server.api.schemas.engines import OrderSchema
from engineshed_server.api.schemas.paging import Cursor, PageQuerySchema, Place
from engineshed_server.domain.orders import GIVEN_VERBS
from engineshed_server.errors import Refused
from engineshed_server.services.ordering import ACCEPT_WITHIN_S, MAX_WITHIN_S, MIN_WITHIN_S, Ask

MAX_NAMED_ENGINES = 1000


class WindowSchema(RequestSchema):
    """The instants between which the engine may be stopped."""

    makes = Window

    opens = Instant(required=True)
    closes = Instant(required=True)

    @post_load
    def _make(self, values: dict[str, Any], **_: object) -> object:
        if values["closes"] <= values["opens"]:
            raise Refused("order-senseless", "the window closes before it opens")
        return Window(**values)


class AskSchema(RequestSchema):
    """What an engine is to do."""

    makes = Ask

    do = fields.String(required=True, validate=validate.OneOf(GIVEN_VERBS))
    version = Text(
        most=64,
        allow_none=True,
        load_default=None,
        metadata={"description": "what to install or retry, or the kept version to return to"},
    )
    product = fields.String(
        allow_none=True,
        load_default=None,
        validate=validate.OneOf([UPDATER_PRODUCT]),
        metadata={"description": "to install or retry another version of the updater; else of the engine"},
    )
    allow_downgrade = Flag(load_default=False)
    although_held = Flag(load_default=False)
    offline_start = Flag(load_default=False)
    window = fields.Nested(WindowSchema, allow_none=True, load_default=None)
    start_before = Instant(allow_none=True, load_default=None)
    accept_within_s = Whole(least=MIN_WITHIN_S, most=MAX_WITHIN_S, load_default=ACCEPT_WITHIN_S)
    message = Text(least=0, most=500, load_default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOfMany:
    """What several engines are to do: those that are named, or those of a group."""

    engines: tuple[str, ...]
    group: str | None
    ask: Ask


class AskOfManySchema(RequestSchema):
    """What several engines are to do: ``engines`` or ``group``, one of them."""

    makes = AskOfMany

    engines = fields.List(Text(most=64), load_default=(), validate=validate.Length(max=MAX_NAMED_ENGINES))
    group = Text(most=64, allow_none=True, load_default=None)
    order = fields.Nested(AskSchema, required=True, attribute="ask")

    @post_load
    def _make(self, values: dict[str, Any], **_: object) -> object:
        if bool(values["engines"]) == (values["group"] is not None):
            raise Refused(
                "order-senseless", "found both or neither of engines and group, expected one of them"
            )
        return AskOfMany(engines=tuple(values["engines"]), group=values["group"], ask=values["ask"])


class OneOfManySchema(AnswerSchema):
    """What became of one engine's order: the order, or why there is none."""

    engine = fields.String(attribute="engine_id")
    order = fields.Nested(OrderSchema, attribute="line", allow_none=True)
    code = fields.String(attribute="refusal.code", allow_none=True)
    detail = fields.String(attribute="refusal.message", allow_none=True)


class ManyOrdersSchema(AnswerSchema):
    """What became of each engine's order, as they were named."""

    orders = fields.List(fields.Nested(OneOfManySchema))


class OrderQuerySchema(PageQuerySchema):
    """A place in this list is when an order was given, its number and its id."""

    cursor = Cursor(Place.MOMENT, Place.NUMBER, Place.TEXT)
