"""The one final report of an attempt, and the portal's answer. See ``docs/protocol.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import (
    Fields,
    Json,
    read_object,
    version_text,
    without_absent,
    write_compact,
)
from engineshed_packages.protocol.poll import MAX_ANSWER_BYTES, PROTOCOL
from engineshed_packages.target import UPDATER_PRODUCT, check_product
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

# Two values of ``kind``: on an order that was not begun; on a return to a kept version by hand.
REFUSAL = "refusal"
ROLLBACK = "rollback"

MAX_REPORT_BYTES = 512 * 1024
MAX_LOG_LINES = 200  # the last lines of a failed engine's logs, and of its update.log
MAX_LOG_LINE_CHARS = 1000


class Outcome(StrEnum):
    """How an attempt ended; the word on the END line and in the report."""

    OK = "OK"
    ABORTED = "ABORTED"
    ROLLED_BACK = "ROLLED_BACK"
    BROKEN = "BROKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One state the attempt went through, and when it was entered."""

    state: str
    at: datetime

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Step:
        """Read one entry of ``steps``."""
        fields = Fields(values, "step")
        return cls(state=fields.text("state", max_chars=32), at=fields.time("at"))

    def to_dict(self) -> dict[str, Json]:
        """The JSON object."""
        return {"state": self.state, "at": format_time(self.at)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The one final report of an attempt; sent until acknowledged, counted once by ``attempt``.

    Attributes:
        from_version, to_version: what the attempt started from (None: no engine) and aimed at.
        version: what is installed now, by its manifest.
        code: stable reason of the outcome, ``ok`` when it went well.
        probed: False when the engine was not running before and so was not started.
        update_log: the attempt's lines of update.log. engine_log: last lines of the failed engine's logs.
    """

    attempt: str
    engine: str
    product: str
    outcome: Outcome
    code: str
    message: str
    from_version: Version | None
    to_version: Version | None
    version: Version | None
    started: datetime
    ended: datetime
    updater_version: str
    protocol: int = PROTOCOL
    kind: str = "update"
    measured_version: str | None = None
    probed: bool = False
    order: str | None = None
    seq: int = 0
    sha256: str | None = None
    steps: tuple[Step, ...] = ()
    update_log: tuple[str, ...] = ()
    engine_log: tuple[str, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether it tells of the updater's own update, and not of its engine."""
        return self.product == UPDATER_PRODUCT

    @classmethod
    def from_bytes(cls, data: bytes) -> Report:
        """Read a report's body.

        Raises:
            ProtocolRefused, VersionUnreadable, TargetRefused: a field cannot be read.
        """
        fields = Fields(read_object(data, what="report", max_bytes=MAX_REPORT_BYTES), "report")
        outcome = fields.text("outcome")
        if outcome not in Outcome._value2member_map_:
            raise fields.wrong("outcome", " or ".join(Outcome))
        order = fields.text_or_none("order")
        sha256 = fields.text_or_none("sha256")
        log_bounds = {"max_items": MAX_LOG_LINES, "max_chars": MAX_LOG_LINE_CHARS}
        return cls(
            protocol=fields.integer("protocol", low=1),
            attempt=check_id("att", fields.text("attempt")),
            engine=check_id("eng", fields.text("engine")),
            product=check_product(fields.text("product")),
            kind=fields.text_or_none("kind", max_chars=32) or "update",
            outcome=Outcome(outcome),
            code=fields.text("code", max_chars=64),
            message=fields.text_or_none("message", max_chars=2000) or "",
            from_version=fields.version_or_none("from"),
            to_version=fields.version_or_none("to"),
            version=fields.version_or_none("version"),
            measured_version=fields.text_or_none("measured_version", max_chars=64),
            updater_version=fields.text("updater_version", max_chars=64),
            started=fields.time("started"),
            ended=fields.time("ended"),
            probed=fields.flag("probed"),
            order=None if order is None else check_id("ord", order),
            seq=fields.integer("seq", default=0),
            sha256=None if sha256 is None else fields.sha256("sha256"),
            steps=tuple(Step.from_dict(item) for item in fields.objects("steps", max_items=64)),
            update_log=fields.texts("update_log", **log_bounds),
            engine_log=fields.texts("engine_log", **log_bounds),
        )

    def to_bytes(self) -> bytes:
        """The body of ``POST /api/v1/reports``, compact JSON; absent fields are left out."""
        return write_compact(
            without_absent(
                {
                    "protocol": self.protocol,
                    "attempt": self.attempt,
                    "engine": self.engine,
                    "product": self.product,
                    "kind": self.kind,
                    "outcome": self.outcome.value,
                    "code": self.code,
                    "message": self.message,
                    "from": version_text(self.from_version),
                    "to": version_text(self.to_version),
                    "version": version_text(self.version),
                    "measured_version": self.measured_version,
                    "updater_version": self.updater_version,
                    "started": format_time(self.started),
                    "ended": format_time(self.ended),
                    "probed": self.probed,
                    "order": self.order,
                    "seq": self.seq,
                    "sha256": self.sha256,
                    "steps": [step.to_dict() for step in self.steps],
                    "update_log": list(self.update_log),
                    "engine_log": list(self.engine_log),
                }
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAnswer:
    """What the portal answers to a report: ``recorded`` the first time, then ``known``."""

    code: str

    @classmethod
    def from_bytes(cls, data: bytes) -> ReportAnswer:
        """Read an answer's body."""
        fields = Fields(read_object(data, what="report answer", max_bytes=MAX_ANSWER_BYTES), "report answer")
        return cls(code=fields.text("code", max_chars=64))

    def to_bytes(self) -> bytes:
        """The answer's body."""
        return write_compact({"code": self.code})
