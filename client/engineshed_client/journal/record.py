"""The journal as a value: the state of one attempt, and its one form in bytes.

Names on disk are those of schema 1 and are never renamed; unknown fields are kept and written back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from engineshed_client.errors import NewerSchema
from engineshed_client.journal.goal import Goal, Origin
from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import (
    Fields,
    Json,
    escape_controls,
    read_object,
    without_absent,
    write_compact,
)
from engineshed_packages.protocol import Step
from engineshed_packages.times import format_time

SCHEMA = 1
MAX_JOURNAL_BYTES = 512 * 1024
MAX_STEPS = 64
MAX_MESSAGE_CHARS = 2000


class State(StrEnum):
    """What the machine is in; the value is the name on disk."""

    IDLE = "IDLE"
    DOWNLOADING = "DOWNLOADING"
    VERIFYING = "VERIFYING"
    STAGING = "STAGING"
    STAGED = "STAGED"
    STOPPING = "STOPPING"
    CARRYING = "CARRYING"
    SWAPPING = "SWAPPING"
    STARTING = "STARTING"
    PROBING = "PROBING"
    COMMITTED = "COMMITTED"
    ABORTED = "ABORTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    BROKEN = "BROKEN"
    UNKNOWN = "UNKNOWN"  # read, never written: a state of an updater that knows more


class Kind(StrEnum):
    """What asked for the attempt; also the ``kind`` of its report."""

    UPDATE = "update"  # a portal's order
    INSTALL = "install"  # the host's administrator, from a bundle
    ROLLBACK = "rollback"  # to a kept previous version


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The state of one attempt.

    Attributes:
        attempt: id; names the BEGIN and END lines and the one report.
        origin: the engine found at the beginning; None for a first installation.
        writes: how often this was saved; the loop breaker counts it.
        tries: downloads begun. starts: starts of the new engine, returns: of the old one, each
            counted before it happens.
        received_bytes: what the downloads brought, right or wrong.
        order: the order's envelope as received; None for a local command.
        bundle: absolute path of the bundle a local installation reads.
        was_running: whether the engine ran before it was stopped; None before STOPPING.
        start_type: how the service was set to start, for supervisors that know such a thing.
        previous: name of the folder the old engine moves to; None before SWAPPING.
        code, message: the first fault; "" while there is none.
        measured: the version the engine itself answered last.
        steps: the states gone through, for the report.
    """

    attempt: str
    kind: Kind
    state: State
    goal: Goal
    origin: Origin | None
    started: datetime
    writes: int = 0
    tries: int = 0
    received_bytes: int = 0
    starts: int = 0
    returns: int = 0
    order: Mapping[str, Json] | None = None
    order_id: str | None = None
    seq: int = 0
    bundle: str | None = None
    was_running: bool | None = None
    start_type: str | None = None
    previous: str | None = None
    code: str = ""
    message: str = ""
    measured: str | None = None
    steps: tuple[Step, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)

    def moved(self, state: State, now: datetime) -> Journal:
        """This journal in *state*, entered at *now*."""
        steps = (*self.steps, Step(state=state.value, at=now))[-MAX_STEPS:]
        return replace(self, state=state, steps=steps)

    def with_fault(self, code: str, message: str) -> Journal:
        """This journal with its first fault: what follows from it does not hide the cause."""
        if self.code:
            return self
        return replace(self, code=code, message=escape_controls(message)[:MAX_MESSAGE_CHARS])

    @classmethod
    def from_bytes(cls, data: bytes) -> Journal:
        """Read the file.

        Raises:
            NewerSchema: a newer updater wrote it.
            PackagesError: it cannot be read.
        """
        fields = Fields(read_object(data, what="journal", max_bytes=MAX_JOURNAL_BYTES), "journal")
        schema = fields.integer("schema", low=1)
        if schema > SCHEMA:
            raise NewerSchema(
                "journal-newer",
                f"the journal has schema {schema}, this updater knows {SCHEMA}: "
                "leave everything as it is and start the newer updater",
            )
        state = fields.text("state", max_chars=32)
        origin, goal = fields.object_or_none("from"), fields.object_or_none("to")
        if goal is None:
            raise fields.wrong("to", "an object")
        order_id = fields.text_or_none("order_id")
        return cls(
            attempt=check_id("att", fields.text("attempt")),
            kind=_read_kind(fields),
            state=State(state) if state in State._value2member_map_ else State.UNKNOWN,
            goal=Goal.from_dict(goal),
            origin=None if origin is None else Origin.from_dict(origin),
            started=fields.time("started"),
            writes=fields.integer("writes", default=0),
            tries=fields.integer("tries", default=0),
            received_bytes=fields.integer("received_bytes", default=0),
            starts=fields.integer("starts", default=0),
            returns=fields.integer("returns", default=0),
            order=fields.object_or_none("order"),
            order_id=None if order_id is None else check_id("ord", order_id),
            seq=fields.integer("seq", default=0),
            bundle=fields.text_or_none("bundle", max_chars=4096),
            was_running=_flag_or_none(fields, "was_running"),
            start_type=fields.text_or_none("start_type", max_chars=32),
            previous=fields.text_or_none("previous"),
            code=fields.text_or_none("code", max_chars=64) or "",
            message=fields.text_or_none("message", max_chars=MAX_MESSAGE_CHARS) or "",
            measured=fields.text_or_none("measured", max_chars=64),
            steps=tuple(Step.from_dict(item) for item in fields.objects("steps", max_items=MAX_STEPS)),
            extra=fields.rest(),
        )

    def to_bytes(self) -> bytes:
        """The file's content: compact JSON, absent fields left out, ``schema`` first."""
        known = without_absent(
            {
                "attempt": self.attempt,
                "kind": self.kind.value,
                "state": self.state.value,
                "from": None if self.origin is None else self.origin.to_dict(),
                "to": self.goal.to_dict(),
                "started": format_time(self.started),
                "writes": self.writes,
                "tries": self.tries,
                "received_bytes": self.received_bytes or None,
                "starts": self.starts,
                "returns": self.returns,
                "order": None if self.order is None else dict(self.order),
                "order_id": self.order_id,
                "seq": self.seq,
                "bundle": self.bundle,
                "was_running": self.was_running,
                "start_type": self.start_type,
                "previous": self.previous,
                "code": self.code,
                "message": self.message,
                "measured": self.measured,
                "steps": [step.to_dict() for step in self.steps],
            }
        )
        return write_compact({"schema": SCHEMA, **self.extra, **known})


def _read_kind(fields: Fields) -> Kind:
    text = fields.text("kind", max_chars=32)
    if text not in Kind._value2member_map_:
        raise fields.wrong("kind", " or ".join(Kind))
    return Kind(text)


def _flag_or_none(fields: Fields, name: str) -> bool | None:
    return fields.flag(name) if name in fields.rest() else None
