"""Jobs and the schedules they come from."""

from __future__ import annotations

from marshmallow import fields

from engineshed_server.api.schemas.base import AnswerSchema, Moment


class JobSchema(AnswerSchema):
    """A job."""

    job = fields.String(attribute="job_id")
    kind = fields.String()
    state = fields.String()
    requested_by = fields.String()
    node = fields.String(allow_none=True, metadata={"description": "where alone it runs; null: anywhere"})
    attempt = fields.Integer(metadata={"description": "how often a worker began it"})
    worker = fields.String(allow_none=True)
    progress = fields.Integer(metadata={"description": "0 to 100"})
    not_before = Moment()
    cancel_asked = Moment(allow_none=True)
    error_code = fields.String(allow_none=True, metadata={"description": "of the last try that failed"})
    error = fields.String(allow_none=True)
    created = Moment()
    started = Moment(allow_none=True)
    ended = Moment(allow_none=True)
    schedule = fields.String(allow_none=True, metadata={"description": "null: somebody asked for it"})
    slot = Moment(allow_none=True)


class JobLineSchema(AnswerSchema):
    """A line that a job wrote."""

    written = Moment()
    level = fields.String()
    text = fields.String()


class JobDetailSchema(AnswerSchema):
    """A job, and the last lines it wrote."""

    job = fields.Nested(JobSchema)
    lines = fields.List(fields.Nested(JobLineSchema))


class ScheduleSchema(AnswerSchema):
    """When a kind of job is done by itself."""

    schedule = fields.String(attribute="name")
    kind = fields.String()
    is_on = fields.Boolean()
    timing = fields.String(metadata={"description": "five fields of cron, or as `every 30 min`"})
    zone = fields.String(metadata={"description": "of the IANA list"})
    node = fields.String(allow_none=True)
    next_run = Moment(allow_none=True)
    last_run = Moment(allow_none=True)
    revision = fields.Integer()
