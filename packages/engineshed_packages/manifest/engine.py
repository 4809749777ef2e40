"""How an engine is started, stopped and probed, as its package says it.

Commands are lists of arguments, never a line for a shell. Commands, environment and the probe's URL may
hold placeholders, because a package does not know where it will lie:

    {engine}    the engine's folder, absolute
    {base}      the folder that holds engine, updater and previous versions, absolute
    {python}    the interpreter that runs the updater

Any other text in braces stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engineshed_packages.errors import ManifestRefused
from engineshed_packages.jsontext import Fields, Json

MAX_ARGUMENTS = 500
MAX_ARGUMENT_CHARS = 4000
MAX_WAIT_S = 86_400

_URL = re.compile(r"https?://[^\s/]\S*")
_TCP = re.compile(r"(?P<host>[^\s:]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})", re.ASCII)
PLACEHOLDERS = ("engine", "base", "python")
_PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")


def _refused(found: str, expected: str) -> ManifestRefused:
    return ManifestRefused("manifest-unreadable", f"manifest: {found}: expected {expected}")


def _check_command(what: str, command: tuple[str, ...]) -> None:
    if not command or not command[0] or any("\0" in argument for argument in command):
        raise _refused(f"{what} has the command {list(command)!r}", "a program and its arguments as a list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholders:
    """What the placeholders stand for on one host."""

    engine: str
    base: str
    python: str

    def fill(self, text: str) -> str:
        """*text* with the placeholders replaced, once: what is put in is not looked at again."""
        values = {"engine": self.engine, "base": self.base, "python": self.python}
        return _PLACEHOLDER.sub(lambda found: values[found.group(1)], text)

    def fill_all(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Each of *texts* filled, for a command."""
        return tuple(self.fill(text) for text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSpec:
    """How the engine is started: a program that stays in the foreground.

    Raises:
        ManifestRefused: code ``manifest-unreadable``.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_command("start", self.command)
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise _refused(f"start sets the variable {name!r}", "names without = and texts without NUL")

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> StartSpec:
        """Read ``start``."""
        fields = Fields(values, "manifest", refusal=ManifestRefused)
        env: dict[str, str] = {}
        for name, value in (fields.object_or_none("env") or {}).items():
            if not isinstance(value, str):
                raise fields.wrong("env", "names and texts")
            env[name] = value
        return cls(command=_arguments(fields), env=env, extra=_rest(fields, "command"))

    def to_dict(self) -> dict[str, Json]:
        """The object ``start``."""
        return {**self.extra, "command": list(self.command), "env": dict(self.env)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSpec:
    """How the engine is asked to stop, and how long it may take before it is made to.

    Attributes:
        command: None when the stop signal of the system is enough.

    Raises:
        ManifestRefused: code ``manifest-unreadable``.
    """

    command: tuple[str, ...] | None = None
    timeout_s: int = 30
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.command is not None:
            _check_command("stop", self.command)
        if not 1 <= self.timeout_s <= MAX_WAIT_S:
            raise _refused(f"stop has timeout_s {self.timeout_s}", f"1 to {MAX_WAIT_S} seconds")

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> StopSpec:
        """Read ``stop``."""
        fields = Fields(values, "manifest", refusal=ManifestRefused)
        return cls(
            command=None if values.get("command") is None else _arguments(fields),
            timeout_s=fields.integer("timeout_s", low=1, high=MAX_WAIT_S, default=30),
            extra=_rest(fields, "command"),
        )

    def to_dict(self) -> dict[str, Json]:
        """The object ``stop``."""
        command: Json = None if self.command is None else list(self.command)
        return {**self.extra, "command": command, "timeout_s": self.timeout_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """How the engine is asked whether it is well, and which version it is.

    Attributes:
        url, tcp, command: exactly one: an address that answers 2xx, ``host:port`` that accepts a
            connection, or a program that ends with 0.
        version_regex: its first group is the version in the answer or the program's output.
        version_pointer: JSON pointer (RFC 6901) to the version in a JSON answer.
        timeout_s: for one tick. interval_s: between ticks.
        good_ticks: so many good ticks in a row make the engine healthy.
        max_ticks: after so many ticks without that, it is not.

    Raises:
        ManifestRefused: code ``manifest-unreadable``.
    """

    url: str | None = None
    tcp: str | None = None
    command: tuple[str, ...] | None = None
    version_regex: str | None = None
    version_pointer: str | None = None
    timeout_s: int = 5
    interval_s: int = 1
    good_ticks: int = 3
    max_ticks: int = 60
    extra: Mapping[str, Json] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        self._check_way()
        self._check_version()
        waits = (self.timeout_s, self.interval_s)
        if not all(1 <= wait <= MAX_WAIT_S for wait in waits) or not 1 <= self.good_ticks <= self.max_ticks:
            raise _refused(
                f"probe has timeout_s {self.timeout_s}, interval_s {self.interval_s}, good_ticks "
                f"{self.good_ticks}, max_ticks {self.max_ticks}",
                "numbers from 1, and good_ticks not above max_ticks",
            )

    def _check_way(self) -> None:
        if [self.url, self.tcp, self.command].count(None) != 2:
            raise _refused("probe", "exactly one of url, tcp and command")
        if self.url is not None and not _URL.fullmatch(self.url):
            raise _refused(f"probe has the url {self.url[:100]!r}", "http://host[:port]/path")
        if self.tcp is not None:
            found = _TCP.fullmatch(self.tcp)
            if found is None or not 1 <= int(found["port"]) <= 65535:
                raise _refused(f"probe has tcp {self.tcp[:100]!r}", "host:port")
        if self.command is not None:
            _check_command("probe", self.command)

    def _check_version(self) -> None:
        if self.version_regex is not None and self.version_pointer is not None:
            raise _refused("probe", "version_regex or version_pointer, not both")
        if self.tcp is not None and (self.version_regex is not None or self.version_pointer is not None):
            raise _refused("probe by tcp reads no version", "url or command beside version_regex")
        if self.version_pointer is not None and self.version_pointer[:1] not in ("", "/"):
            raise _refused(
                f"probe has version_pointer {self.version_pointer!r}", "a JSON pointer as /version"
            )
        if self.version_regex is not None:
            try:
                groups = re.compile(self.version_regex).groups
            except re.error as err:
                raise _refused(f"probe has version_regex {self.version_regex!r}", f"a regex ({err})") from err
            if groups < 1:
                raise _refused(
                    f"probe has version_regex {self.version_regex!r}", "a group around the version"
                )

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> ProbeSpec:
        """Read ``probe``."""
        fields = Fields(values, "manifest", refusal=ManifestRefused)
        return cls(
            url=fields.text_or_none("url", max_chars=MAX_ARGUMENT_CHARS),
            tcp=fields.text_or_none("tcp"),
            command=None if values.get("command") is None else _arguments(fields),
            version_regex=fields.text_or_none("version_regex", max_chars=1000),
            version_pointer=fields.text_or_none("version_pointer"),
            timeout_s=fields.integer("timeout_s", low=1, high=MAX_WAIT_S, default=5),
            interval_s=fields.integer("interval_s", low=1, high=MAX_WAIT_S, default=1),
            good_ticks=fields.integer("good_ticks", low=1, default=3),
            max_ticks=fields.integer("max_ticks", low=1, default=60),
            extra=_rest(fields, "command"),
        )

    def to_dict(self) -> dict[str, Json]:
        """The object ``probe``; what is not used is left out."""
        known: dict[str, Json] = {
            "url": self.url,
            "tcp": self.tcp,
            "command": None if self.command is None else list(self.command),
            "version_regex": self.version_regex,
            "version_pointer": self.version_pointer,
            "timeout_s": self.timeout_s,
            "interval_s": self.interval_s,
            "good_ticks": self.good_ticks,
            "max_ticks": self.max_ticks,
        }
        return {**self.extra, **{name: value for name, value in known.items() if value is not None}}


def _arguments(fields: Fields) -> tuple[str, ...]:
    return fields.texts("command", max_items=MAX_ARGUMENTS, max_chars=MAX_ARGUMENT_CHARS)


def _rest(fields: Fields, *read: str) -> dict[str, Json]:
    return {name: value for name, value in fields.rest().items() if name not in read}
