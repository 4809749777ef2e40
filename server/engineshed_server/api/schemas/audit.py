"""The audit trail: one entry for each change."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields

from engineshed_server.api.schemas.base import AnswerSchema, Moment, Text
from engineshed_server.api.schemas.paging import NumberedPageSchema, PageQuery


class AuditEntrySchema(AnswerSchema):
    """Who changed what, when, from where, and what was before and after."""

    entry = fields.Integer()
    at = Moment()
    actor = fields.String(
        metadata={"description": "cli, user:<name>, token:<id>, an engine's id, or a part of the portal"}
    )
    address = fields.String(allow_none=True)
    request = fields.String(allow_none=True, metadata={"description": "its id, as in the log"})
    action = fields.String()
    subject = fields.String()
    details = fields.Dict(keys=fields.String())
    before = fields.Dict(keys=fields.String(), allow_none=True)
    after = fields.Dict(keys=fields.String(), allow_none=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery(PageQuery):
    """Which changes are wanted."""

    subject: str | None
    actor: str | None
    action: str | None


class AuditQuerySchema(NumberedPageSchema):
    """Which changes are wanted: those of exactly this subject, actor and action.

    An engine's id as subject stands for its orders and attempts too.
    """

    makes = AuditQuery

    subject = Text(most=400, load_default=None)
    actor = Text(load_default=None)
    action = Text(most=64, load_default=None)
