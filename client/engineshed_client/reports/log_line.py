"""One line of update.log: ``<time> <EVENT> attempt=<id> key=value …``, written so that it stays one line.

A value comes from engines, portals and file systems. A bare value holds harmless characters only; any
other stands in quotation marks with ``\\`` and ``"`` escaped, and control or direction characters are
written out as ``\\x1b``: no value can start a line, clear a terminal or hide what follows it.
Reading gives the same value back, written-out controls included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.jsontext import escape_controls
from engineshed_packages.times import format_time, parse_time

BEGIN = "BEGIN"
END = "END"
MAX_VALUE_CHARS = 300

_BARE = re.compile(r"[A-Za-z0-9_.:/+@,~-]+", re.ASCII)
_EVENT = re.compile(r"[A-Z][A-Z0-9_-]{0,31}", re.ASCII)
_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_PAIR = re.compile(r'([a-z][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)', re.ASCII)
_ESCAPED = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One event of one attempt.

    Attributes:
        event: BEGIN, END or what happened between, in capitals.
        values: the further ``key=value`` pairs in their order; ``attempt`` is not among them.
    """

    at: datetime
    event: str
    attempt: str
    values: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _EVENT.fullmatch(self.event):
            raise ValueError(f"found the event {self.event!r}, expected capitals such as BEGIN")
        for key in self.values:
            if not _KEY.fullmatch(key) or key == "attempt":
                raise ValueError(f"found the key {key!r}, expected lower-case letters, digits and _")

    @classmethod
    def parse(cls, text: str) -> LogLine | None:
        """Read one line without its line feed; None when it is not a line of this log."""
        head, _, rest = text.partition(" ")
        event, _, rest = rest.partition(" ")
        pairs = {found.group(1): _read_value(found.group(2)) for found in _PAIR.finditer(rest)}
        attempt = pairs.pop("attempt", None)
        if attempt is None or not _EVENT.fullmatch(event):
            return None
        try:
            return cls(at=parse_time(head), event=event, attempt=attempt, values=pairs)
        except (ProtocolRefused, ValueError):
            return None

    def text(self) -> str:
        """The line, without a line feed."""
        pairs = {"attempt": self.attempt, **self.values}
        written = [f"{key}={_write_value(value)}" for key, value in pairs.items()]
        return " ".join([format_time(self.at), self.event, *written])


def _write_value(value: str) -> str:
    if len(value) > MAX_VALUE_CHARS:
        value = value[: MAX_VALUE_CHARS - 1] + "…"
    if _BARE.fullmatch(value):
        return value
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape_controls(quoted)}"'


def _read_value(written: str) -> str:
    if not written.startswith('"'):
        return written
    return _ESCAPED.sub(r"\1", written[1:-1])
