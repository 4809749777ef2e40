"""How an engine joins a portal: the line an admin pastes, the request, the answer, the access token.

The enrolment line carries everything a host must know and nothing it could be tricked about: the
portal's address, a one-time token, and fingerprints of the portal's order keys and of its CA. It is
one line of ``name=value`` words, read from standard input or a file, never from the arguments of a
process, where every user of the host could read it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.ids import check_id
from engineshed_packages.jsontext import Fields, Json, read_object, without_absent, write_compact
from engineshed_packages.protocol import MAX_ANSWER_BYTES, PROTOCOL
from engineshed_packages.target import check_platform, check_product
from engineshed_packages.versions import Version

LINE_MARK = "engineshed1"
MAX_LINE_CHARS = 2000
MAX_REQUEST_BYTES = 16 * 1024
MAX_PORTALS = 8
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_PUBLIC_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SECRET_BYTES_MAX = 200


def check_portal_url(text: str) -> str:
    """Return the portal's base address without a trailing slash.

    Raises:
        ProtocolRefused: code ``portal-url``: not http(s), with user, query or fragment.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as err:
        raise ProtocolRefused(
            "portal-url", f"the portal address {text[:100]!r} cannot be read: {err}"
        ) from err
    wanted = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not wanted or parts.username is not None or parts.query or parts.fragment:
        raise ProtocolRefused(
            "portal-url", f"found the portal address {text[:100]!r}, expected https://host[:port][/path]"
        )
    return text.rstrip("/")


def _check_fingerprint(text: str, name: str) -> str:
    if not _FINGERPRINT.fullmatch(text):
        raise ProtocolRefused(
            "enrol-line", f"{name} is {text[:80]!r}, expected sha256: and 64 hexadecimal digits"
        )
    return text


def fingerprint(data: bytes) -> str:
    """``sha256:`` and the hexadecimal digest of *data*: an order key's 32 bytes or a CA file."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolLine:
    """The one line an admin pastes on a host.

    Attributes:
        order_key: fingerprint of the portal's active order key.
        standby: fingerprint of its standby order key, which is trusted like the active one; None when
            the portal names none.
        ca: fingerprint of the portal's CA file, None when the system's CAs are meant.
        product: what the token is for, None when the host has to say it.
    """

    portal: str
    token: str
    order_key: str
    standby: str | None = None
    ca: str | None = None
    product: str | None = None

    @classmethod
    def parse(cls, text: str) -> EnrolLine:
        """Read the line.

        Raises:
            ProtocolRefused: code ``enrol-line`` or ``portal-url``. The token is never repeated in it.
            TargetRefused: code ``product-name``.
        """
        words = text.strip().split()
        if len(text) > MAX_LINE_CHARS or not words or words[0] != LINE_MARK:
            raise ProtocolRefused(
                "enrol-line", f"this is no enrolment line: expected one line that begins with {LINE_MARK!r}"
            )
        values = dict(word.partition("=")[::2] for word in words[1:])
        absent = [name for name in ("portal", "token", "order_key") if not values.get(name)]
        if absent:
            raise ProtocolRefused(
                "enrol-line", f"the enrolment line lacks {', '.join(absent)}: copy it whole"
            )
        standby, ca, product = values.get("standby"), values.get("ca"), values.get("product")
        return cls(
            portal=check_portal_url(values["portal"]),
            token=values["token"],
            order_key=_check_fingerprint(values["order_key"], "order_key"),
            standby=None if standby is None else _check_fingerprint(standby, "standby"),
            ca=None if ca is None else _check_fingerprint(ca, "ca"),
            product=None if product is None else check_product(product),
        )

    def text(self) -> str:
        """The line as it is shown to the admin, once."""
        words = [LINE_MARK, f"portal={self.portal}", f"order_key={self.order_key}"]
        if self.standby is not None:
            words.append(f"standby={self.standby}")
        if self.ca is not None:
            words.append(f"ca={self.ca}")
        if self.product is not None:
            words.append(f"product={self.product}")
        return " ".join([*words, f"token={self.token}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderKey:
    """A portal's public order key: 32 bytes of Ed25519.

    Its ``keyid`` is the SHA-256 of those bytes, so that nobody can give one key another's name.
    """

    public: bytes

    def __post_init__(self) -> None:
        if len(self.public) != 32:
            raise ProtocolRefused("order-key", f"an Ed25519 key has 32 bytes, found {len(self.public)}")

    @property
    def keyid(self) -> str:
        """SHA-256 of the key's bytes, hexadecimal."""
        return hashlib.sha256(self.public).hexdigest()

    @property
    def fingerprint(self) -> str:
        """The ``keyid`` as the enrolment line writes it."""
        return fingerprint(self.public)

    @classmethod
    def from_hex(cls, text: str) -> OrderKey:
        """Read the key from 64 hexadecimal digits.

        Raises:
            ProtocolRefused: code ``order-key``.
        """
        if not _PUBLIC_HEX.fullmatch(text):
            raise ProtocolRefused("order-key", f"found {text[:80]!r}, expected 64 hexadecimal digits")
        return cls(public=bytes.fromhex(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolRequest:
    """The body of ``POST /api/v1/enrol``."""

    token: str
    product: str
    platform: str
    version: Version | None
    host_name: str
    updater_version: str
    protocol: int = PROTOCOL

    @classmethod
    def from_bytes(cls, data: bytes) -> EnrolRequest:
        """Read the body; raises ProtocolRefused, VersionUnreadable or TargetRefused."""
        fields = Fields(read_object(data, what="enrolment", max_bytes=MAX_REQUEST_BYTES), "enrolment")
        return cls(
            protocol=fields.integer("protocol", low=1),
            token=fields.text("token", max_chars=_SECRET_BYTES_MAX),
            product=check_product(fields.text("product")),
            platform=check_platform(fields.text("platform")),
            version=fields.version_or_none("version"),
            host_name=fields.text_or_none("host_name") or "",
            updater_version=fields.text("updater_version", max_chars=64),
        )

    def to_bytes(self) -> bytes:
        """The body, compact JSON."""
        return write_compact(
            without_absent(
                {
                    "protocol": self.protocol,
                    "token": self.token,
                    "product": self.product,
                    "platform": self.platform,
                    "version": None if self.version is None else self.version.text,
                    "host_name": self.host_name,
                    "updater_version": self.updater_version,
                }
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolAnswer:
    """What a new engine is given; also the content of its ``credentials.json``.

    Attributes:
        secret: opaque; exchanged for access tokens, stored 0600, only its hash is on the server.
        order_keys: the active key first, then the standby kept offline.
        portals: base addresses, tried in order.
        repository: name of the vendor's repository in ``/repo/v1/<name>``.
        waiting: the portal's admin has to approve the engine before it is given anything. True only in
            the answer: how it stands later is heard with each poll.
        former_portals: only in the file, after an order replaced *portals*: the addresses from before, tried
            behind the new ones until one of those has answered a poll.
    """

    portal: str
    engine: str
    secret: str
    order_keys: tuple[OrderKey, ...]
    portals: tuple[str, ...]
    repository: str = "vendor"
    poll_s: int = 60
    waiting: bool = False
    former_portals: tuple[str, ...] = ()
    protocol: int = PROTOCOL

    @classmethod
    def from_bytes(cls, data: bytes) -> EnrolAnswer:
        """Read the answer or the file.

        Raises:
            ProtocolRefused: a field cannot be read, or there is no order key or portal.
        """
        fields = Fields(
            read_object(data, what="enrolment answer", max_bytes=MAX_ANSWER_BYTES), "enrolment answer"
        )
        keys = tuple(OrderKey.from_hex(text) for text in fields.texts("order_keys", max_items=2))
        portals, former = (
            tuple(check_portal_url(text) for text in fields.texts(name, max_items=MAX_PORTALS))
            for name in ("portals", "former_portals")
        )
        if not keys or not portals:
            raise ProtocolRefused(
                "enrolment-answer", "the answer to the enrolment names no order key or no portal"
            )
        return cls(
            protocol=fields.integer("protocol", low=1),
            portal=check_id("ptl", fields.text("portal")),
            engine=check_id("eng", fields.text("engine")),
            secret=fields.text("secret", max_chars=_SECRET_BYTES_MAX),
            order_keys=keys,
            portals=portals,
            repository=fields.text("repository", max_chars=64),
            poll_s=fields.integer("poll_s", low=1, high=7 * 86400),
            waiting=fields.flag("waiting"),
            former_portals=former,
        )

    def to_bytes(self) -> bytes:
        """The answer's body, compact JSON."""
        keys: list[Json] = [key.public.hex() for key in self.order_keys]
        seldom: dict[str, Json] = {"waiting": True} if self.waiting else {}
        if self.former_portals:
            seldom["former_portals"] = list(self.former_portals)
        return write_compact(
            {
                "protocol": self.protocol,
                "portal": self.portal,
                "engine": self.engine,
                "secret": self.secret,
                "order_keys": keys,
                "portals": list(self.portals),
                "repository": self.repository,
                "poll_s": self.poll_s,
                **seldom,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """The body of ``POST /api/v1/token``: the engine's id and secret."""

    engine: str
    secret: str

    @classmethod
    def from_bytes(cls, data: bytes) -> TokenRequest:
        """Read the body; raises ProtocolRefused."""
        fields = Fields(read_object(data, what="token request", max_bytes=MAX_REQUEST_BYTES), "token request")
        return cls(
            engine=check_id("eng", fields.text("engine")),
            secret=fields.text("secret", max_chars=_SECRET_BYTES_MAX),
        )

    def to_bytes(self) -> bytes:
        """The body, compact JSON."""
        return write_compact({"engine": self.engine, "secret": self.secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """An access token, opaque to the engine, and the seconds it is good for."""

    access_token: str
    expires_s: int

    @classmethod
    def from_bytes(cls, data: bytes) -> TokenAnswer:
        """Read the answer's body; raises ProtocolRefused."""
        fields = Fields(read_object(data, what="token answer", max_bytes=MAX_ANSWER_BYTES), "token answer")
        return cls(
            access_token=fields.text("access_token", max_chars=2048),
            expires_s=fields.integer("expires_s", low=1),
        )

    def to_bytes(self) -> bytes:
        """The answer's body, compact JSON."""
        return write_compact({"access_token": self.access_token, "expires_s": self.expires_s})
