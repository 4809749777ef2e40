"""The wire between engine and portal, version 1: poll, answer, report. See ``docs/protocol.md``.

The protocol only grows. Both sides ignore fields they do not know and keep working with a partner
that sends fewer; a field is never given another meaning. A poll without news fits in one small
request: what seldom changes (``attributes``, ``capabilities``) is sent at first and when it changed.
Joining and the access token are in ``enrolment.py``; the order inside an answer in ``orders.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import Fields, Json, read_object, write_compact
from engineshed_packages.target import check_platform, check_product
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

PROTOCOL = 1
MAX_POLL_BYTES = 32 * 1024
MAX_ANSWER_BYTES = 128 * 1024
MAX_REPORT_BYTES = 512 * 1024
MAX_LOG_LINES = 200  # the last lines of a failed engine's logs, and of its update.log
MAX_LOG_LINE_CHARS = 1000
MAX_SKIPPED = 16


class Health(StrEnum):
    """What the engine's last probe said."""

    GOOD = "good"
    BAD = "bad"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """How an attempt ended; the word on the END line and in the report."""

    OK = "OK"
    ABORTED = "ABORTED"
    ROLLED_BACK = "ROLLED_BACK"
    BROKEN = "BROKEN"


def without_absent(values: Mapping[str, Json]) -> dict[str, Json]:
    """*values* without the names whose value is None: absent fields are not sent."""
    return {name: value for name, value in values.items() if value is not None}


def _version_text(version: Version | None) -> str | None:
    return None if version is None else version.text


def _time_text(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What is known of the host; sent with the first poll of a boot and when it changed."""

    host_name: str = ""
    os: str = ""
    arch: str = ""
    java: str = ""
    free_disk_bytes: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Attributes:
        """Read the object; more than 32 tags or texts over 200 characters are refused."""
        fields = Fields(values, "attributes")
        tags = Fields(fields.object_or_none("tags") or {}, "tags")
        names = sorted(tags.rest())
        if len(names) > 32 or any(len(name) > 64 for name in names):
            raise fields.wrong("tags", "at most 32 tags with names of at most 64 characters")
        return cls(
            host_name=fields.text_or_none("host_name") or "",
            os=fields.text_or_none("os") or "",
            arch=fields.text_or_none("arch") or "",
            java=fields.text_or_none("java") or "",
            free_disk_bytes=fields.integer("free_disk_bytes", default=0),
            tags={name: tags.text_or_none(name) or "" for name in names},
        )

    def to_dict(self) -> dict[str, Json]:
        """The JSON object."""
        return {
            "host_name": self.host_name,
            "os": self.os,
            "arch": self.arch,
            "java": self.java,
            "free_disk_bytes": self.free_disk_bytes,
            "tags": dict(self.tags),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A release that failed on this engine and waits for an order with ``retry``."""

    version: Version
    sha256: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Skipped:
        """Read one entry of the skip list."""
        fields = Fields(values, "skipped")
        return cls(
            version=Version.parse(fields.text("version", max_chars=64)), sha256=fields.sha256("sha256")
        )

    def to_dict(self) -> dict[str, Json]:
        """The JSON object."""
        return {"version": self.version.text, "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What an engine's updater says of itself when it asks for news.

    Attributes:
        version: installed version by its manifest; None when no engine is installed.
        measured_version: what the engine itself answered at its last probe.
        state: state of the updater, a name of ``docs/states.md``.
        seq: highest order ``seq`` ever accepted, 0 before the first.
        boot: nonce drawn at each start of the updater; two live ones show a copied identity.
        clock: the host's clock. trusted_clock: the newest date signed by the vendor that it has seen.
    """

    engine: str
    product: str
    platform: str
    version: Version | None
    state: str
    boot: str
    clock: datetime
    updater_version: str
    protocol: int = PROTOCOL
    health: Health = Health.UNKNOWN
    measured_version: str | None = None
    attempt: str | None = None
    seq: int = 0
    root_version: int = 0
    timestamp_version: int = 0
    trusted_clock: datetime | None = None
    skipped: tuple[Skipped, ...] = ()
    capabilities: tuple[str, ...] = ()
    attributes: Attributes | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> Poll:
        """Read a poll's body.

        Raises:
            ProtocolRefused, VersionUnreadable, TargetRefused: a field cannot be read.
        """
        fields = Fields(read_object(data, what="poll", max_bytes=MAX_POLL_BYTES), "poll")
        health = fields.text_or_none("health") or Health.UNKNOWN
        attempt = fields.text_or_none("attempt")
        attributes = fields.object_or_none("attributes")
        return cls(
            protocol=fields.integer("protocol", low=1),
            engine=check_id("eng", fields.text("engine")),
            product=check_product(fields.text("product")),
            platform=check_platform(fields.text("platform")),
            version=fields.version_or_none("version"),
            measured_version=fields.text_or_none("measured_version", max_chars=64),
            updater_version=fields.text("updater_version", max_chars=64),
            state=fields.text("state", max_chars=32),
            # A newer updater may know more kinds of health: an unknown word is unknown health.
            health=Health(health) if health in Health._value2member_map_ else Health.UNKNOWN,
            attempt=None if attempt is None else check_id("att", attempt),
            seq=fields.integer("seq", default=0),
            boot=fields.text("boot", max_chars=64),
            clock=fields.time("clock"),
            trusted_clock=fields.time_or_none("trusted_clock"),
            root_version=fields.integer("root_version", default=0),
            timestamp_version=fields.integer("timestamp_version", default=0),
            skipped=tuple(
                Skipped.from_dict(item) for item in fields.objects("skipped", max_items=MAX_SKIPPED)
            ),
            capabilities=fields.texts("capabilities", max_items=32, max_chars=64),
            attributes=None if attributes is None else Attributes.from_dict(attributes),
        )

    def to_bytes(self) -> bytes:
        """The body of ``POST /api/v1/poll``, compact JSON; absent fields are left out."""
        return write_compact(
            without_absent(
                {
                    "protocol": self.protocol,
                    "engine": self.engine,
                    "product": self.product,
                    "platform": self.platform,
                    "version": _version_text(self.version),
                    "measured_version": self.measured_version,
                    "updater_version": self.updater_version,
                    "state": self.state,
                    "health": self.health.value,
                    "attempt": self.attempt,
                    "seq": self.seq,
                    "boot": self.boot,
                    "clock": format_time(self.clock),
                    "trusted_clock": _time_text(self.trusted_clock),
                    "root_version": self.root_version,
                    "timestamp_version": self.timestamp_version,
                    "skipped": [item.to_dict() for item in self.skipped] or None,
                    "capabilities": list(self.capabilities) or None,
                    "attributes": None if self.attributes is None else self.attributes.to_dict(),
                }
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PollAnswer:
    """What the portal answers to a poll.

    Attributes:
        code: stable reason of the decision, as ``up-to-date`` or ``offer``.
        text: the same for people.
        order: the order's DSSE envelope, unread; None when there is nothing to do.
        poll_s: seconds until the next poll, before the engine's own jitter.
        timestamp_version: version of the newest TUF timestamp the portal has published.
    """

    server_time: datetime
    code: str
    text: str
    poll_s: int
    protocol: int = PROTOCOL
    timestamp_version: int = 0
    order: Mapping[str, Json] | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> PollAnswer:
        """Read an answer's body.

        Raises:
            ProtocolRefused: a field cannot be read.
        """
        fields = Fields(read_object(data, what="answer", max_bytes=MAX_ANSWER_BYTES), "answer")
        return cls(
            protocol=fields.integer("protocol", low=1),
            server_time=fields.time("server_time"),
            code=fields.text("code", max_chars=64),
            text=fields.text_or_none("text", max_chars=500) or "",
            poll_s=fields.integer("poll_s", low=1, high=7 * 86400),
            timestamp_version=fields.integer("timestamp_version", default=0),
            order=fields.object_or_none("order"),
        )

    def to_bytes(self) -> bytes:
        """The answer's body, compact JSON."""
        return write_compact(
            without_absent(
                {
                    "protocol": self.protocol,
                    "server_time": format_time(self.server_time),
                    "code": self.code,
                    "text": self.text,
                    "poll_s": self.poll_s,
                    "timestamp_version": self.timestamp_version,
                    "order": None if self.order is None else dict(self.order),
                }
            )
        )


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
                    "from": _version_text(self.from_version),
                    "to": _version_text(self.to_version),
                    "version": _version_text(self.version),
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
