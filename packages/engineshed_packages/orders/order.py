"""One order as a value, and its payload in bytes. See ``docs/protocol.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engineshed_packages.enrolment import OrderKey, check_portal_url
from engineshed_packages.errors import OrderRefused, Refused
from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import Fields, Json, read_object, without_absent, write_compact
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

MAX_PAYLOAD_BYTES = 32 * 1024

INSTALL = "install"
ROLLBACK = "rollback"
CANCEL = "cancel"
START = "start"
STOP = "stop"
RESTART = "restart"
COLLECT_LOGS = "collect-logs"
CONFIGURE = "configure"
VERBS = (INSTALL, ROLLBACK, CANCEL, START, STOP, RESTART, COLLECT_LOGS, CONFIGURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The instants between which the engine may be stopped; resolved by the portal."""

    opens: datetime
    closes: datetime

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Window:
        """Read the object; a window that closes before it opens is refused."""
        fields = Fields(values, "window")
        window = cls(opens=fields.time("opens"), closes=fields.time("closes"))
        if window.closes <= window.opens:
            raise fields.wrong("closes", "a time after 'opens'")
        return window

    def to_dict(self) -> dict[str, Json]:
        """The JSON object."""
        return {"opens": format_time(self.opens), "closes": format_time(self.closes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The package an order installs, named as the vendor's metadata names it."""

    path: str
    length_bytes: int
    sha256: str
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order.

    Attributes:
        portal, engine: whose order, for whom. id: names it in reports. seq: its number.
        accept_before: not accepted later. start_before: the engine is not stopped for it later.
        do: one of ``VERBS``. package: what to install; None for a verb that installs nothing.
        returns_to: with ``rollback``, the version of the kept engine; None leaves the choice to the host.
        window: when the engine may be stopped; None is always.
        offline_start: the engine may be stopped although the portal cannot be asked again.
        allow_downgrade: an older version is meant; the vendor's floor still holds.
        retry: install although the release is on the skip list.
        next_keys, next_portals: with ``configure``, what replaces the engine's lists.
    """

    portal: str
    engine: str
    id: str
    seq: int
    issued: datetime
    accept_before: datetime
    do: str
    package: Package | None = None
    returns_to: Version | None = None
    start_before: datetime | None = None
    window: Window | None = None
    offline_start: bool = False
    allow_downgrade: bool = False
    retry: bool = False
    next_keys: tuple[OrderKey, ...] = ()
    next_portals: tuple[str, ...] = ()
    message: str = ""
    extra: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Order:
        """Read a payload whose signature was verified.

        Raises:
            OrderRefused: code ``order-unreadable``.
        """
        try:
            return cls._read(Fields(read_object(payload, what="order", max_bytes=MAX_PAYLOAD_BYTES), "order"))
        except OrderRefused:
            raise
        except Refused as err:
            raise OrderRefused("order-unreadable", f"the order cannot be read: {err.message}") from err

    @classmethod
    def _read(cls, fields: Fields) -> Order:
        window = fields.object_or_none("window")
        version, path = fields.version_or_none("version"), fields.text_or_none("path", max_chars=400)
        package = None
        if version is not None and path is not None:
            package = Package(
                path=path,
                length_bytes=fields.integer("length"),
                sha256=fields.sha256("sha256"),
                version=version,
            )
        return cls(
            portal=check_id("ptl", fields.text("portal")),
            engine=check_id("eng", fields.text("engine")),
            id=check_id("ord", fields.text("id")),
            seq=fields.integer("seq", low=1),
            issued=fields.time("issued"),
            accept_before=fields.time("accept_before"),
            start_before=fields.time_or_none("start_before"),
            do=fields.text("do", max_chars=32),
            package=package,
            returns_to=version if package is None else None,
            window=None if window is None else Window.from_dict(window),
            offline_start=fields.flag("offline_start"),
            allow_downgrade=fields.flag("allow_downgrade"),
            retry=fields.flag("retry"),
            next_keys=tuple(OrderKey.from_hex(text) for text in fields.texts("next_keys", max_items=2)),
            next_portals=tuple(check_portal_url(text) for text in fields.texts("next_portals", max_items=8)),
            message=fields.text_or_none("message", max_chars=500) or "",
            extra=fields.rest(),
        )

    def to_bytes(self) -> bytes:
        """The payload that is signed."""
        package = self.package
        version = self.returns_to if package is None else package.version
        keys: list[Json] = [key.public.hex() for key in self.next_keys]
        known = without_absent(
            {
                "portal": self.portal,
                "engine": self.engine,
                "id": self.id,
                "seq": self.seq,
                "issued": format_time(self.issued),
                "accept_before": format_time(self.accept_before),
                "start_before": None if self.start_before is None else format_time(self.start_before),
                "do": self.do,
                "path": None if package is None else package.path,
                "length": None if package is None else package.length_bytes,
                "sha256": None if package is None else package.sha256,
                "version": None if version is None else version.text,
                "window": None if self.window is None else self.window.to_dict(),
                "offline_start": self.offline_start or None,
                "allow_downgrade": self.allow_downgrade or None,
                "retry": self.retry or None,
                "next_keys": keys or None,
                "next_portals": list(self.next_portals) or None,
                "message": self.message or None,
            }
        )
        return write_compact({**known, **self.extra})
