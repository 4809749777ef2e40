"""The table of settings: every key of ``updater.toml``, what it may hold, and its name in the environment.

A reader gets the value as TOML gives it and returns it as a value of ours, or raises ``ValueError``
whose text is what was expected.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from engineshed_packages.enrolment import check_portal_url
from engineshed_packages.errors import Refused
from engineshed_packages.target import check_platform, check_product

Value: TypeAlias = "str | int | tuple[str, ...] | Mapping[str, str]"

ENV_PREFIX: Final = "ENGINESHED_"
SECTION: Final = "engine"
UNLISTED: Final = ("carry", "refuse", "leave")
COMMAND: Final = "command"
SYSTEMD: Final = "systemd"
WINDOWS: Final = "windows"
SUPERVISORS: Final = (COMMAND, WINDOWS if sys.platform == "win32" else SYSTEMD)
_DAY_S: Final = 86_400
# No path, no option, no pattern: it stands on a command line.
_SERVICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 :_.@$\\-]{0,254}", re.ASCII)
_FOLDER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """One setting.

    Attributes:
        name: as in the file, with its section: ``poll_s``, ``engine.probe_url``.
        read: checks a value.
        is_text: the value is a text, so that the environment holds it as it is, not as TOML.
    """

    name: str
    read: Callable[[object], Value]
    is_text: bool = True

    @property
    def env_name(self) -> str:
        """``ENGINESHED_POLL_S``, ``ENGINESHED_ENGINE_PROBE_URL``."""
        return ENV_PREFIX + self.name.upper().replace(".", "_")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("a text without control characters")
    return value


def _folder_name(value: object) -> str:
    text = _text(value)
    if text == "update" or not _FOLDER.fullmatch(text):
        raise ValueError("a folder name of letters, digits, - and _, not 'update'")
    return text


def _url(value: object) -> str:
    text = _text(value)
    if not text.startswith(("http://", "https://")):
        raise ValueError("an address that begins with http:// or https://")
    return text


def _host_port(value: object) -> str:
    text = _text(value)
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("host:port")
    return text


def _pattern(value: object) -> str:
    text = _text(value)
    try:
        groups = re.compile(text).groups
    except re.error as err:
        raise ValueError(f"a regular expression ({err})") from err
    if groups < 1:
        raise ValueError("a regular expression with a group around the version")
    return text


def _pointer(value: object) -> str:
    text = _text(value)
    if not text.startswith("/"):
        raise ValueError("a JSON pointer such as /version")
    return text


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('a list of texts such as ["a", "b"]')
    return tuple(_text(item) for item in value)


def _command(value: object) -> tuple[str, ...]:
    words = _texts(value)
    if not words:
        raise ValueError('a command word by word such as ["{engine}/bin/start.sh", "--quiet"]')
    return words


def _portals(value: object) -> tuple[str, ...]:
    try:
        return tuple(check_portal_url(text) for text in _texts(value))
    except Refused as err:
        raise ValueError('a list of addresses such as ["https://portal.example:8443"]') from err


def _environment(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError('texts by name such as {JAVA_HOME = "/opt/java"}')
    return dict(value)


def _service_name(value: object) -> str:
    text = _text(value)
    if not _SERVICE.fullmatch(text):
        raise ValueError("a service's name such as cockpit.service, on Windows Cockpit")
    return text


def _by(check: Callable[[str], str], expected: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        try:
            return check(_text(value))
        except Refused as err:
            raise ValueError(expected) from err

    return read


def _choice(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(" or ".join(words))
        return value

    return read


def _integer(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return read


KEYS: Final = {
    key.name: key
    for key in (
        Key("product", _by(check_product, "the product's name as the vendor writes it, such as portal")),
        Key("platform", _by(check_platform, "linux-x86_64, windows-x86_64 or any")),
        Key("portals", _portals, is_text=False),
        Key("ca_file", _text),
        Key("trusted_root", _text),
        Key("engine_folder", _folder_name),
        Key("keep_previous", _integer(1, 99), is_text=False),
        Key("poll_s", _integer(1, 7 * _DAY_S), is_text=False),
        Key("max_rate_kib", _integer(1, 1 << 20), is_text=False),
        Key("unlisted", _choice(*UNLISTED)),
        Key("kept", _texts, is_text=False),
        Key("runtime_outside", _texts, is_text=False),
        Key("engine.start", _command, is_text=False),
        Key("engine.stop", _command, is_text=False),
        Key("engine.env", _environment, is_text=False),
        Key("engine.stop_timeout_s", _integer(1, 3600), is_text=False),
        Key("engine.probe_url", _url),
        Key("engine.probe_tcp", _host_port),
        Key("engine.probe_command", _command, is_text=False),
        Key("engine.probe_timeout_s", _integer(1, 600), is_text=False),
        Key("engine.version_regex", _pattern),
        Key("engine.version_pointer", _pointer),
        Key("engine.good_ticks", _integer(1, 1000), is_text=False),
        Key("engine.interval_s", _integer(1, 3600), is_text=False),
        Key("engine.max_ticks", _integer(1, 10_000), is_text=False),
        Key("engine.supervisor", _choice(*SUPERVISORS)),
        Key("engine.service", _service_name),
    )
}
