"""Engines as operators see and edit them, with their attempts and orders, and why they get what they get."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields, validate

from engineshed_packages.target_names import CHANNEL_PATTERN, UPDATER_PRODUCT
from engineshed_server.api.schemas.base import AnswerSchema, Moment, RequestSchema, Text, Word
from engineshed_server.api.schemas.paging import PageQuery, PageQuerySchema
from engineshed_server.domain.groups import GROUP_PATTERN
from engineshed_server.services.approval import MAX_AT_ONCE
from engineshed_server.services.engine_edits import MAX_NOTES_CHARS, EngineChange
from engineshed_server.services.engines import STATES, EngineDetail
from engineshed_server.services.reasons import MAX_REASON_CHARS


class _OfUpdater(fields.String):
    """Which product an order or a report is about, where that is not the engine's."""

    def __init__(self) -> None:
        said = f"{UPDATER_PRODUCT} when it is about the updater, null when it is about the engine"
        super().__init__(allow_none=True, metadata={"description": said})


class EngineSchema(AnswerSchema):
    """One engine; what it said of itself is null until its first poll."""

    engine = fields.String(attribute="engine_id")
    product = fields.String()
    platform = fields.String()
    group = fields.String()
    channel = fields.String()
    host_name = fields.String()
    version = fields.String(allow_none=True)
    state = fields.String(metadata={"description": "waiting, enrolled, rejected or revoked"})
    enrolled = Moment()
    seen = Moment(allow_none=True)
    updater_state = fields.String(allow_none=True)
    updater_version = fields.String(allow_none=True)
    health = fields.String(allow_none=True)
    address = fields.String(
        allow_none=True, metadata={"description": "where it polled from last, or joined from"}
    )
    two_hosts = fields.Boolean(metadata={"description": "more than one host polls with this identity"})
    two_hosts_since = Moment(
        allow_none=True, metadata={"description": "first time that was seen of this identity"}
    )


class HostSchema(AnswerSchema):
    """A host that polled as this engine within an hour before its last poll."""

    host_name = fields.String(allow_none=True)
    address = fields.String(allow_none=True)
    first = Moment()
    last = Moment()


class AttributesSchema(AnswerSchema):
    """What the updater said of its host."""

    host_name = fields.String()
    os = fields.String()
    arch = fields.String()
    java = fields.String()
    free_disk_bytes = fields.Integer()
    tags = fields.Dict(keys=fields.String(), values=fields.String())


class StepSchema(AnswerSchema):
    """A state the attempt went through, and when it was entered."""

    state = fields.String()
    at = Moment()


class AttemptSchema(AnswerSchema):
    """One final report."""

    attempt = fields.String()
    kind = fields.String(metadata={"description": "as in the report: update, rollback, restart, refusal, …"})
    order = fields.String(allow_none=True)
    outcome = fields.String()
    code = fields.String()
    message = fields.String()
    from_ = fields.String(attribute="from_version", data_key="from", allow_none=True)
    to = fields.String(attribute="to_version", allow_none=True)
    version = fields.String(allow_none=True)
    started = Moment()
    ended = Moment()
    received = Moment()
    steps = fields.List(fields.Nested(StepSchema))
    update_log = fields.List(fields.String())
    engine_log = fields.List(fields.String())
    product = _OfUpdater()


class OrderSchema(AnswerSchema):
    """One order; ``answer`` is the code of the report that closed it, or says why there is none."""

    order = fields.String()
    engine = fields.String()
    seq = fields.Integer(
        allow_none=True, metadata={"description": "null until the engine polls for an administrator's order"}
    )
    do = fields.String()
    version = fields.String(allow_none=True)
    state = fields.String(metadata={"description": "open, answered, refused, superseded or expired"})
    issued = Moment(metadata={"description": "when it was given"})
    accept_before = Moment()
    closed = Moment(allow_none=True)
    answer = fields.String(allow_none=True)
    origin = fields.String(
        metadata={"description": "portal: it followed from a release; admin: it was given"}
    )
    given_by = fields.String()
    message = fields.String()
    although_held = fields.Boolean()
    product = _OfUpdater()


class EngineDetailSchema(EngineSchema):
    """One engine with its last attempts and orders, newest first."""

    token = fields.String(
        allow_none=True, metadata={"description": "id of the enrolment token it joined with last"}
    )
    hold_reason = fields.String(
        allow_none=True, metadata={"description": "why it is offered nothing by itself; null: it is"}
    )
    notes = fields.String()
    hosts = fields.List(fields.Nested(HostSchema))
    updater_newest = fields.String(
        allow_none=True, metadata={"description": "the newest updater published for it"}
    )
    attributes = fields.Nested(AttributesSchema, allow_none=True)
    attempts = fields.List(fields.Nested(AttemptSchema))
    orders = fields.List(fields.Nested(OrderSchema))

    def get_attribute(self, obj: object, attr: str, default: object) -> object:
        """What the list shows too stands in the detail's ``line``."""
        own = attr in EngineDetail.__dataclass_fields__
        return super().get_attribute(obj, attr if own else f"line.{attr}", default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Engines by their ids."""

    engines: tuple[str, ...]


class NamedSchema(RequestSchema):
    """Which engines are decided on."""

    makes = Named

    engines = fields.List(Text(most=64), required=True, validate=validate.Length(min=1, max=MAX_AT_ONCE))


class ChangedSchema(AnswerSchema):
    """Which engines are in another state than before."""

    engines = fields.List(fields.String())


class ReasonSchema(AnswerSchema):
    """Why one release is, or is not, the one."""

    code = fields.String()
    text = fields.String()


class DecisionSchema(AnswerSchema):
    """What the next poll would be answered, and every reason."""

    code = fields.String()
    text = fields.String()
    version = fields.String(attribute="target.version.text", allow_none=True)
    path = fields.String(attribute="target.path", allow_none=True)
    reasons = fields.List(fields.Nested(ReasonSchema))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineQuery(PageQuery):
    """Which engines are wanted."""

    product: str | None
    state: str | None
    group: str | None
    channel: str | None


class EngineQuerySchema(PageQuerySchema):
    """Which engines are wanted: those with exactly these words."""

    makes = EngineQuery

    product = Text(most=64, load_default=None)
    state = fields.String(load_default=None, validate=validate.OneOf(STATES))
    group = Text(most=64, load_default=None)
    channel = Text(most=64, load_default=None)


class EngineChangeSchema(RequestSchema):
    """What is to be different of an engine; what is left out stays."""

    makes = EngineChange

    group = Word(GROUP_PATTERN)
    channel = Word(CHANNEL_PATTERN)
    hold_reason = Text(
        least=0,
        most=MAX_REASON_CHARS,
        metadata={"description": "why it is to be offered nothing by itself; empty lets it go"},
    )
    notes = fields.String(
        validate=validate.Length(max=MAX_NOTES_CHARS), metadata={"description": "lines of plain text"}
    )
