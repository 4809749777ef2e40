"""The one shape of every error."""

from __future__ import annotations

from marshmallow import fields

from engineshed_server.api.schemas.base import AnswerSchema


class ProblemSchema(AnswerSchema):
    """RFC 9457, and ``code``."""

    type = fields.String(metadata={"description": "about:blank: what is special is in code"})
    title = fields.String(metadata={"description": "the status' own phrase"})
    status = fields.Integer()
    detail = fields.String(metadata={"description": "what was found, what was expected, what to do"})
    instance = fields.String(metadata={"description": "the request's id, as in X-Request-ID and in the log"})
    code = fields.String(metadata={"description": "stable kebab-case name for programs"})
