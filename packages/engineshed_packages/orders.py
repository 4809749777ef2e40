"""The portal's order: which genuine release one engine installs, and when. See ``docs/protocol.md``.

An order is a DSSE envelope (source: secure-systems-lab/dsse, protocol v1.0.2) around a JSON payload,
signed with the portal's Ed25519 order key. The vendor's metadata says what is genuine; the order can
only choose among that. ``verify_order`` proves who signed, ``accept_order`` holds the order against
what the engine knows; each rule refuses with a code of its own, and no rule reads a clock or a file.

``seq`` counts up per engine and portal key and has no clock in it: a replayed order is recognised
after any change of the host's time. The same order may come again until it is answered.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Signature, Signer, SSlibKey

from engineshed_packages.enrolment import OrderKey, check_portal_url
from engineshed_packages.errors import OrderRefused, Refused
from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import Fields, Json, read_object, without_absent, write_compact
from engineshed_packages.target import Target
from engineshed_packages.times import format_time
from engineshed_packages.versions import Version

PAYLOAD_TYPE = "application/vnd.engineshed.order+json"
MAX_PAYLOAD_BYTES = 32 * 1024
MAX_SIGNATURES = 4

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOrder:
    """An order whose signature was verified, and the ``keyid`` that made it."""

    order: Order
    keyid: str


def _verifier(key: OrderKey) -> SSlibKey:
    return SSlibKey(key.keyid, "ed25519", "ed25519", {"public": key.public.hex()})


def sign_order(order: Order, signer: Signer) -> dict[str, Json]:
    """Wrap *order* in a DSSE envelope signed by *signer* (``order_keys.load_order_signer``)."""
    envelope = Envelope(order.to_bytes(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return dict(envelope.to_dict())


def verify_order(envelope: Mapping[str, Json], keys: Sequence[OrderKey]) -> SignedOrder:
    """Prove that one of *keys* signed *envelope*, and read the order in it.

    The payload is parsed only after its signature and type were found right.

    Raises:
        OrderRefused: code ``order-unreadable``, ``order-payload-type`` or ``order-signature``.
    """
    payload, signatures = _open_envelope(envelope)
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise OrderRefused(
            "order-payload-type",
            f"the payload type is {str(envelope.get('payloadType'))[:80]!r}, expected {PAYLOAD_TYPE!r}",
        )
    try:
        signed_by = Envelope(payload, PAYLOAD_TYPE, signatures).verify([_verifier(key) for key in keys], 1)
    except (VerificationError, ValueError) as err:
        raise OrderRefused(
            "order-signature",
            "the order is not signed by this portal's order key: it was altered, or it is another portal's",
        ) from err
    return SignedOrder(order=Order.from_bytes(payload), keyid=next(iter(signed_by)))


def _open_envelope(envelope: Mapping[str, Json]) -> tuple[bytes, dict[str, Signature]]:
    """The raw payload and the signatures by key; a copy, nothing of *envelope* is changed."""
    fields = Fields(envelope, "order", refusal=OrderRefused)
    text = fields.text("payload", max_chars=MAX_PAYLOAD_BYTES * 4 // 3 + 4)
    signatures = {}
    try:
        for item in fields.objects("signatures", max_items=MAX_SIGNATURES):
            one = Fields(item, "order", refusal=OrderRefused)
            keyid = one.text("keyid", max_chars=64)
            raw = base64.b64decode(one.text("sig"), validate=True)
            signatures[keyid] = Signature(keyid, raw.hex())
        return base64.b64decode(text, validate=True), signatures
    except (binascii.Error, ValueError) as err:
        raise OrderRefused("order-unreadable", f"the order's envelope holds no valid base64: {err}") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The last order accepted under one key."""

    seq: int
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What the engine knows when it judges an order.

    Attributes:
        installed: version of the engine on disk; None when there is none.
        accepted: last accepted order by ``keyid``, from ``seen.json``.
        skipped: SHA-256 digests of packages that failed here before.
        floors: highest floor per product ever seen in verified metadata.
        verbs: what this updater can do.
    """

    portal: str
    engine: str
    product: str
    platform: str
    installed: Version | None
    accepted: Mapping[str, Accepted]
    skipped: frozenset[str] = frozenset()
    floors: Mapping[str, Version] = field(default_factory=dict)
    verbs: frozenset[str] = frozenset({INSTALL})


def accept_order(signed: SignedOrder, target: Target | None, *, facts: EngineFacts, now: datetime) -> None:
    """Hold a verified order against what the engine knows; return only when every rule is satisfied.

    Args:
        target: the vendor's verified target of the order's path, None when there is none.
        now: trusted time, the later of the host's clock and the newest date the vendor signed.

    Raises:
        OrderRefused: the first rule that is broken gives the code.
    """
    order = signed.order
    _check_addressee(order, facts)
    if now >= order.accept_before:
        raise OrderRefused(
            "order-expired",
            f"order {order.id} had to be accepted before {format_time(order.accept_before)}, "
            f"it is {format_time(now)}",
        )
    _check_seq(signed, facts)
    if order.do not in facts.verbs:
        raise OrderRefused(
            "order-unsupported", f"order {order.id} asks for {order.do!r}, which this updater cannot do"
        )
    if order.do == INSTALL:
        _check_package(order, target, facts)


def _check_addressee(order: Order, facts: EngineFacts) -> None:
    if order.portal != facts.portal:
        raise OrderRefused(
            "order-other-portal", f"order {order.id} is of portal {order.portal}, expected {facts.portal}"
        )
    if order.engine != facts.engine:
        raise OrderRefused(
            "order-other-engine", f"order {order.id} is for engine {order.engine}, this is {facts.engine}"
        )


def _check_seq(signed: SignedOrder, facts: EngineFacts) -> None:
    last = facts.accepted.get(signed.keyid)
    order = signed.order
    if last is None or order.seq > last.seq or (order.seq == last.seq and order.id == last.id):
        return
    raise OrderRefused(
        "order-replayed",
        f"order {order.id} has seq {order.seq}, expected more than {last.seq}, the seq of {last.id}",
    )


def _check_package(order: Order, target: Target | None, facts: EngineFacts) -> None:
    package = order.package
    if package is None:
        raise OrderRefused("order-unreadable", f"order {order.id} installs nothing: it names no package")
    if target is None:
        raise OrderRefused(
            "order-target-unknown",
            f"order {order.id} names {package.path}, which the vendor's metadata does not list",
        )
    found = (package.path, package.length_bytes, package.sha256, package.version)
    if found != (target.path, target.length_bytes, target.sha256, target.version):
        raise OrderRefused(
            "order-target-mismatch",
            f"order {order.id} names {package.path} with {package.length_bytes} bytes and "
            f"SHA-256 {package.sha256}, the vendor signed {target.length_bytes} bytes and "
            f"SHA-256 {target.sha256}",
        )
    if target.product != facts.product:
        raise OrderRefused(
            "order-other-product",
            f"order {order.id} is for product {target.product}, this engine is {facts.product}",
        )
    if not target.fits(facts.platform):
        raise OrderRefused(
            "order-other-platform",
            f"order {order.id} is for platform {target.platform}, this host is {facts.platform}",
        )
    if target.withdrawn:
        raise OrderRefused("order-withdrawn", target.withdrawal)
    _check_version(order, target, facts)


def _check_version(order: Order, target: Target, facts: EngineFacts) -> None:
    floor = facts.floors.get(target.product)
    if floor is not None and target.version < floor:
        raise OrderRefused(
            "order-below-floor",
            f"order {order.id} installs {target.version.text}, below the vendor's floor {floor.text}",
        )
    installed = facts.installed
    if installed is not None and target.version <= installed:
        if not order.allow_downgrade:
            raise OrderRefused(
                "order-not-newer",
                f"order {order.id} installs {target.version.text}, which is not newer than {installed.text}",
            )
    elif installed is not None and target.min_version is not None and installed < target.min_version:
        raise OrderRefused(
            "order-min-version",
            f"{target.version.text} needs {target.min_version.text} installed first, found {installed.text}",
        )
    if target.sha256 in facts.skipped and not order.retry:
        raise OrderRefused(
            "order-skipped",
            f"{target.version.text} failed on this engine before and the order does not say retry",
        )
