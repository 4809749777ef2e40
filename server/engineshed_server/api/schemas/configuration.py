"""What engines are to know of this portal."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields, validate

from engineshed_packages.enrolment import MAX_PORTALS
from engineshed_server.api.schemas.base import AnswerSchema, RequestSchema, Text


class AddressesSchema(AnswerSchema):
    """Addresses and order keys, and how many engines know them."""

    number = fields.Integer(metadata={"description": "counts the changes; it is the ETag"})
    portals = fields.List(fields.String(), metadata={"description": "tried in this order"})
    order_key = fields.String()
    standby_key = fields.String()
    engines = fields.Integer()
    behind = fields.Integer(metadata={"description": "enrolled engines that do not know all of this yet"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalsChange:
    """The addresses engines are to be given."""

    portals: tuple[str, ...]


class PortalsChangeSchema(RequestSchema):
    """The addresses engines are to be given, tried in this order."""

    makes = PortalsChange

    portals = fields.List(Text(most=500), required=True, validate=validate.Length(min=1, max=MAX_PORTALS))
