"""JSON that comes from somebody else: read with a limit on size and depth, field by field.

``read_object`` turns bytes into one object and refuses what Python's parser would let pass: NaN and
Infinity, duplicate names, nesting without end, a file of 10 MB. ``Fields`` then takes the object
apart: every field is asked for by name with its kind and bounds, errors name the field, control
characters are written out (a terminal or a log never gets an escape sequence from afar), and what
nobody asked for stays in ``rest()``, because unknown fields are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TypeAlias

from engineshed_packages.errors import ProtocolRefused, Refused
from engineshed_packages.times import format_time, parse_time
from engineshed_packages.versions import Version

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1  # what every JSON reader can hold exactly (RFC 8259, section 6)
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def write_compact(value: Mapping[str, Json]) -> bytes:
    """*value* as UTF-8 JSON without spaces, names in the order given."""
    return _COMPACT.encode(value).encode("utf-8")


def without_absent(values: Mapping[str, Json]) -> dict[str, Json]:
    """*values* without the names whose value is None: absent fields are not sent."""
    return {name: value for name, value in values.items() if value is not None}


def version_text(version: Version | None) -> str | None:
    """*version* as it is sent, None when absent."""
    return None if version is None else version.text


def time_text(moment: datetime | None) -> str | None:
    """*moment* as it is sent, None when absent."""
    return None if moment is None else format_time(moment)


def escape_controls(text: str) -> str:
    """Write control and direction characters of *text* as ``\\x1b`` or ``\\u202e``."""
    return _CONTROLS.sub(lambda found: ascii(found.group())[1:-1], text)


def read_object(data: bytes, *, what: str, max_bytes: int) -> dict[str, Json]:
    """Parse *data*, one JSON object of at most *max_bytes*; *what* names it in errors.

    Raises:
        ProtocolRefused: code ``json-too-large``, ``json-unreadable`` or ``json-too-deep``.
    """
    if len(data) > max_bytes:
        raise ProtocolRefused("json-too-large", f"{what} has {len(data)} bytes, at most {max_bytes} are read")
    try:
        value = json.loads(
            data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique_names
        )
    except RecursionError as err:
        raise ProtocolRefused("json-too-deep", f"{what} nests deeper than {MAX_DEPTH} levels") from err
    except ValueError as err:
        raise ProtocolRefused("json-unreadable", f"{what} is no valid JSON: {err}"[:300]) from err
    if not isinstance(value, dict):
        raise ProtocolRefused(
            "json-unreadable", f"{what} is a JSON {type(value).__name__}, expected an object"
        )
    # Only text with enough brackets can nest that deep: the poll, which comes most often, has a handful.
    if data.count(b"{") + data.count(b"[") >= MAX_DEPTH:
        _check_depth(value, what)
    return value


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON number")


def _unique_names(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return result


def _check_depth(value: Json, what: str) -> None:
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise ProtocolRefused("json-too-deep", f"{what} nests deeper than {MAX_DEPTH} levels")


def _children(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


class Fields:
    """The fields of one object, each read once by name.

    Args:
        values: the object.
        what: its name in errors, as ``poll`` or ``order``.
        refusal: the error class to raise; its code is ``<what>-unreadable``, hyphens for spaces.
    """

    def __init__(
        self, values: Mapping[str, Json], what: str, *, refusal: type[Refused] = ProtocolRefused
    ) -> None:
        self._values = values
        self._what = what
        self._refusal = refusal
        self._read: set[str] = set()

    def _take(self, name: str) -> Json:
        self._read.add(name)
        return self._values.get(name)

    def wrong(self, name: str, expected: str) -> Refused:
        """The error for field *name*, which is not what was *expected*."""
        found = escape_controls(repr(self._values.get(name))[:60])
        code = f"{self._what.replace(' ', '-')}-unreadable"
        return self._refusal(code, f"{self._what}: field {name!r} is {found}, expected {expected}")

    def text(self, name: str, *, max_chars: int = 200) -> str:
        """A required text of 1 to *max_chars* characters, controls written out."""
        value = self.text_or_none(name, max_chars=max_chars)
        if not value:
            raise self.wrong(name, f"a text of 1 to {max_chars} characters")
        return value

    def text_or_none(self, name: str, *, max_chars: int = 200) -> str | None:
        """A text of at most *max_chars* characters, or None when absent."""
        value = self._take(name)
        if value is None:
            return None
        # Measured as it will be stored: writing out a control character makes a text longer.
        text = escape_controls(value) if isinstance(value, str) else None
        if text is None or len(text) > max_chars:
            raise self.wrong(
                name, f"a text of at most {max_chars} characters, control characters written out"
            )
        return text

    def sha256(self, name: str) -> str:
        """A required SHA-256: 64 lower-case hexadecimal digits."""
        value = self._take(name)
        if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value, re.ASCII):
            raise self.wrong(name, "64 lower-case hexadecimal digits")
        return value

    def integer(self, name: str, *, low: int = 0, high: int = MAX_INTEGER, default: int | None = None) -> int:
        """A whole number from *low* to *high*; *default* when absent, else required."""
        value = self._take(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(name, f"a whole number from {low} to {high}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; absent is false."""
        value = self._take(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def time(self, name: str) -> datetime:
        """A required RFC 3339 time in UTC."""
        value = self.time_or_none(name)
        if value is None:
            raise self.wrong(name, "a UTC time such as 2026-11-22T08:00:00Z")
        return value

    def time_or_none(self, name: str) -> datetime | None:
        """An RFC 3339 time in UTC, or None when absent."""
        value = self._take(name)
        if value is None:
            return None
        try:
            return parse_time(value)
        except ProtocolRefused as err:
            raise self.wrong(name, "a UTC time such as 2026-11-22T08:00:00Z") from err

    def version_or_none(self, name: str) -> Version | None:
        """A version the canonical key can order, or None when absent."""
        value = self.text_or_none(name, max_chars=64)
        return None if value is None else Version.parse(value)

    def texts(self, name: str, *, max_items: int, max_chars: int = 200) -> tuple[str, ...]:
        """A list of at most *max_items* texts, each cut to *max_chars*; absent is empty."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > max_items:
            raise self.wrong(name, f"a list of at most {max_items} texts")
        texts = [item for item in value if isinstance(item, str) and len(item) <= max_chars]
        if len(texts) != len(value):
            raise self.wrong(name, f"texts of at most {max_chars} characters")
        return tuple(escape_controls(item)[:max_chars] for item in texts)

    def objects(self, name: str, *, max_items: int) -> tuple[Mapping[str, Json], ...]:
        """A list of at most *max_items* objects; absent is empty."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > max_items:
            raise self.wrong(name, f"a list of at most {max_items} objects")
        found = [item for item in value if isinstance(item, dict)]
        if len(found) != len(value):
            raise self.wrong(name, "a list of objects")
        return tuple(found)

    def object_or_none(self, name: str) -> Mapping[str, Json] | None:
        """An object, or None when absent."""
        value = self._take(name)
        if value is None or isinstance(value, dict):
            return value
        raise self.wrong(name, "an object")

    def rest(self) -> dict[str, Json]:
        """The fields nobody asked for, to be kept."""
        return {name: value for name, value in self._values.items() if name not in self._read}
