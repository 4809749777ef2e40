"""The one table of what can be set: names, defaults, checks, and which of them are secrets.

Loading, ``config show`` and the documentation's test follow this table; a setting is added here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from engineshed_server.settings.networks import parse_networks

ENV_PREFIX = "ENGINESHED_"
HIDDEN = "(hidden)"
MAX_NODE_CHARS = 64

Value = str | int
_BIND = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})", re.ASCII)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_-]{1,40}){1,4}", re.ASCII)
_DRIVERS = {
    "sqlite": "pysqlite",
    "postgresql": "psycopg",
    "postgres": "psycopg",
    "mariadb": "pymysql",
}
_KNOWN_URLS = ("sqlite+pysqlite", "postgresql+psycopg", "mariadb+pymysql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting: ``section.key``, its default, its check and what it is for.

    Attributes:
        check: returns the value to use; raises ValueError with what was expected.
        hide: how a secret is shown; None for a setting that is no secret.
    """

    name: str
    default: Value
    check: Callable[[Value], Value]
    about: str
    hide: Callable[[str], str] | None = None

    @property
    def env(self) -> str:
        """Name of the environment variable."""
        return ENV_PREFIX + self.name.replace(".", "_").upper()


def _whole(low: int, high: int) -> Callable[[Value], Value]:
    def check(value: Value) -> Value:
        expected = f"a whole number from {low} to {high}"
        if isinstance(value, str):
            if not re.fullmatch(r"\d{1,18}", value.strip(), re.ASCII):
                raise ValueError(expected)
            value = int(value)
        if not low <= value <= high:
            raise ValueError(expected)
        return value

    return check


def _text(value: Value) -> Value:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("a text")
    return value.strip()


def _optional_text(value: Value) -> Value:
    return value if value == "" else _text(value)


def _public_url(value: Value) -> Value:
    text = str(_text(value))
    parts = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise ValueError("an address such as https://portal.example.org")
    return text.rstrip("/")


def _bind(value: Value) -> Value:
    found = _BIND.fullmatch(str(value))
    if found is None or int(found.group(2)) > 65535:
        raise ValueError("host:port, as 127.0.0.1:8080")
    return str(value)


def _networks(value: Value) -> Value:
    return ", ".join(map(str, parse_networks(str(value))))


def _accel(value: Value) -> Value:
    if value != "" and not _PREFIX.fullmatch(str(value)):
        raise ValueError("a path such as /_blobs, without a / at its end, or nothing")
    return str(value)


def _broker(value: Value) -> Value:
    if value == "":
        return value
    parts = urlsplit(str(value))
    if parts.scheme not in ("redis", "rediss", "amqp", "amqps") or not parts.hostname:
        raise ValueError("an address as redis://127.0.0.1:6379/0 or amqp://user:password@host//, or nothing")
    return str(value)


def _node(value: Value) -> Value:
    text = str(_optional_text(value))
    if len(text) > MAX_NODE_CHARS:
        raise ValueError(f"at most {MAX_NODE_CHARS} characters")
    return text


def _level(value: Value) -> Value:
    if str(value).lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("debug, info, warning or error")
    return str(value).lower()


def _format(value: Value) -> Value:
    if str(value).lower() not in ("plain", "json"):
        raise ValueError("plain or json")
    return str(value).lower()


# As SQLAlchemy reads it, which fails with a traceback where this does not match.
_PLACE = re.compile(r"([^:/]*(:[^@]*)?@)?(\[[^/?]+\]|[^/:?\[]+)?(:[0-9]{1,5})?([/?].*)?", re.DOTALL)


def database_url(value: Value) -> Value:
    """Name the driver in a database URL: a bare ``postgresql://`` becomes ``postgresql+psycopg://``.

    Raises:
        ValueError: a database or driver that is not supported, or a place that cannot be read.
    """
    text = str(value).strip()
    if text == "":
        return text
    scheme, separator, rest = text.partition("://")
    if separator and scheme in _DRIVERS:
        scheme = f"{'postgresql' if scheme == 'postgres' else scheme}+{_DRIVERS[scheme]}"
    if not separator or scheme not in _KNOWN_URLS:
        raise ValueError(f"a URL that begins with one of {', '.join(_KNOWN_URLS)}")
    if not scheme.startswith("sqlite") and not _PLACE.fullmatch(rest):
        raise ValueError("user:password@host:port/name behind ://, the port a number, other signs as %xx")
    return f"{scheme}://{rest}"


def hide_password(url: str) -> str:
    """A database URL without its password and without its query, where drivers take passwords too."""
    return re.sub(r"(://[^:@/]*):.*@", rf"\1:{HIDDEN}@", url.partition("?")[0])


FIELDS: tuple[Field, ...] = (
    Field(name="portal.name", default="Engineshed", check=_text, about="what people call this portal"),
    Field(
        name="portal.public_url",
        default="http://127.0.0.1:8080",
        check=_public_url,
        about="address engines reach this portal at; goes into enrolment lines",
    ),
    Field(
        name="portal.data_dir",
        default="/var/lib/engineshed",
        check=_text,
        about="folder of the database, packages, metadata and secrets; one volume",
    ),
    Field(
        name="portal.ca_file",
        default="",
        check=_optional_text,
        about="PEM file of the CA that engines must pin for public_url; empty: the system's CAs",
    ),
    Field(name="web.bind", default="127.0.0.1:8080", check=_bind, about="where the web server listens"),
    Field(name="web.workers", default=2, check=_whole(1, 64), about="web server processes"),
    Field(name="web.threads", default=8, check=_whole(1, 256), about="threads per web server process"),
    Field(
        name="web.proxies",
        default="",
        check=_networks,
        about="addresses of the web servers in front, whose X-Forwarded-For is believed; empty: none",
    ),
    Field(
        name="web.accel",
        default="",
        check=_accel,
        about="internal path under which the web server in front has the packages; empty: we send them",
    ),
    Field(
        name="web.session_idle_s",
        default=8 * 3600,
        check=_whole(60, 31 * 86400),
        about="seconds without a page after which somebody must log in again",
    ),
    Field(
        name="web.session_s",
        default=7 * 86400,
        check=_whole(60, 366 * 86400),
        about="seconds after a login at which somebody must log in again in any case",
    ),
    Field(
        name="database.url",
        default="",
        check=database_url,
        about="SQLAlchemy URL with its driver; empty: SQLite in the data folder",
        hide=hide_password,
    ),
    Field(
        name="limits.upload_bytes",
        default=4 * 1024**3,
        check=_whole(1024, 1024**4),
        about="largest bundle that may be uploaded",
    ),
    Field(
        name="limits.open_uploads",
        default=64,
        check=_whole(1, 10_000),
        about="uploads that may be unfinished at once",
    ),
    Field(
        name="limits.open_uploads_per_token",
        default=16,
        check=_whole(1, 10_000),
        about="uploads of one API token or user that may be unfinished at once",
    ),
    Field(
        name="limits.free_bytes",
        default=64 * 1024**2,
        check=_whole(0, 1024**4),
        about="disk space that uploads leave free",
    ),
    Field(
        name="limits.json_bytes",
        default=1024**2,
        check=_whole(16 * 1024, 64 * 1024**2),
        about="largest JSON body of a request",
    ),
    Field(
        name="engines.poll_s",
        default=60,
        check=_whole(1, 86400),
        about="seconds between two polls of an engine",
    ),
    Field(
        name="engines.access_token_s",
        default=1800,
        check=_whole(60, 86400),
        about="seconds an engine's access token is good for",
    ),
    Field(
        name="engines.approval_s",
        default=30 * 86400,
        check=_whole(60, 366 * 86400),
        about="seconds an engine waits for approval before it is rejected",
    ),
    Field(
        name="jobs.broker",
        default="",
        check=_broker,
        about="redis:// or amqp:// URL by which workers are called; empty: a folder in the data folder",
        hide=hide_password,
    ),
    Field(
        name="jobs.workers",
        default=2,
        check=_whole(0, 64),
        about="jobs that `run` works on at once; 0: it starts no worker and no beat",
    ),
    Field(
        name="jobs.node",
        default="",
        check=_node,
        about="name of this host for jobs that are bound to one; empty: its host name",
    ),
    Field(
        name="metrics.allow",
        default="127.0.0.1, ::1",
        check=_networks,
        about="addresses that read /metrics and /readyz?verbose without a token; empty: none",
    ),
    Field(name="log.level", default="info", check=_level, about="debug, info, warning or error"),
    Field(name="log.format", default="plain", check=_format, about="plain, or json: one object a line"),
)
