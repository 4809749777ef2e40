"""The poll an engine's updater sends, and the portal's answer. See ``docs/protocol.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import (
    Fields,
    Json,
    escape_controls,
    read_object,
    time_text,
    version_text,
    without_absent,
    write_compact,
)
from engineshed_packages.target import check_platform, check_product
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

PROTOCOL = 1
MAX_POLL_BYTES = 32 * 1024
MAX_ANSWER_BYTES = 128 * 1024
MAX_SKIPPED = 16
MAX_TAGS = 32
MAX_TAG_NAME_CHARS = 64


class Health(StrEnum):
    """What the engine's last probe said."""

    GOOD = "good"
    BAD = "bad"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


def _can_name_a_tag(name: str) -> bool:
    # Names come back in JSON and in tables: nothing that drives a terminal, no lone surrogate.
    return len(name) <= MAX_TAG_NAME_CHARS and escape_controls(name) == name


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
        if len(names) > MAX_TAGS or not all(_can_name_a_tag(name) for name in names):
            raise fields.wrong(
                "tags",
                f"at most {MAX_TAGS} tags with printable names of at most {MAX_TAG_NAME_CHARS} characters",
            )
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
        renews: the updater was started by its launcher, and installs newer versions of itself.
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
    renews: bool = False
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
            renews=fields.flag("renews"),
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
                    "version": version_text(self.version),
                    "measured_version": self.measured_version,
                    "updater_version": self.updater_version,
                    "state": self.state,
                    "health": self.health.value,
                    "attempt": self.attempt,
                    "seq": self.seq,
                    "boot": self.boot,
                    "clock": format_time(self.clock),
                    "trusted_clock": time_text(self.trusted_clock),
                    "root_version": self.root_version,
                    "timestamp_version": self.timestamp_version,
                    "skipped": [item.to_dict() for item in self.skipped] or None,
                    "renews": self.renews or None,
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
