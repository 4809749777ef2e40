"""The two kinds of schema and the kinds of field; everything else in this package is made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, cast

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.jsontext import Json, escape_controls
from engineshed_packages.times import format_time, parse_time

# What of RFC 3339 is taken: UTC, whole seconds or fractions of them; dates that do not exist are none.
TIME_PATTERN = (
    r"^(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$"
)
# No control and no direction characters, as `escape_controls` knows them.
TEXT_PATTERN = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]*$"
_DIGITS = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class AnswerSchema(Schema):
    """What the portal answers: all fields, always."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Document the field as one that is never left out."""
        field_obj.required = True

    def get_attribute(self, obj: object, attr: str, default: object) -> object:
        """The attribute *attr*, dotted ones step by step until one is None.

        One that is not there is a bug, not a field to be left out.
        """
        found: object = obj
        for name in attr.split("."):
            if found is None:
                return None
            found = found[name] if isinstance(found, Mapping) else getattr(found, name)
        return found

    @classmethod
    def write(cls, value: object) -> dict[str, Json]:
        """*value* as a JSON object."""
        return cast(dict[str, Json], cls().dump(value))


class RequestSchema(Schema):
    """What the portal is asked; it becomes the dataclass ``makes``, unknown fields are refused."""

    makes: ClassVar[type[Any]]

    class Meta:
        """marshmallow's own settings."""

        unknown = RAISE

    @post_load
    def _make(self, values: dict[str, Any], **_: object) -> object:
        return self.makes(**values)


class Moment(fields.DateTime):
    """An instant: RFC 3339 in UTC with whole seconds."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: object, **kwargs: Any) -> str | None:
        return None if value is None else format_time(value)


class Instant(fields.DateTime):
    """An instant in a request: RFC 3339 in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "engineshed-time", "pattern": TIME_PATTERN}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return parse_time(value)
        except ProtocolRefused as err:
            raise ValidationError("expected a time such as 2026-11-22T22:00:00Z") from err


class Text(fields.String):
    """A text of at most *most* characters in a request, without control characters."""

    def __init__(self, *, least: int = 1, most: int = 200, **kwargs: Any) -> None:
        metadata = {"pattern": TEXT_PATTERN, **kwargs.pop("metadata", {})}
        checks: list[Callable[[str], object]] = [validate.Length(min=least, max=most), _printable]
        super().__init__(validate=checks, metadata=metadata, **kwargs)


def _printable(text: str) -> None:
    if escape_controls(text) != text:
        raise ValidationError("has control characters, expected printable text")


class Word(fields.String):
    """A text of a request that is wholly what *pattern* says."""

    def __init__(self, pattern: str, **kwargs: Any) -> None:
        super().__init__(validate=_Wholly(pattern), **kwargs)


class _Wholly:
    """marshmallow's own check takes a text that only begins so; ``regex`` is what is documented."""

    def __init__(self, pattern: str) -> None:
        self.regex = re.compile(f"^(?:{pattern})$", re.ASCII)

    def __call__(self, text: str) -> None:
        if not self.regex.fullmatch(text):
            raise ValidationError(f"found {text[:40]!r}, expected {self.regex.pattern}")


class Whole(fields.Integer):
    """A whole number from *least* to *most* in a body, written as a JSON number."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(min=least, max=most), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if type(value) is int:  # true is an int to Python
            return value
        raise ValidationError("expected a whole number")


class Digits(Whole):
    """A whole number from *least* to *most* in a query, written in ASCII digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            return int(value)
        raise ValidationError("expected a whole number")


def choice(kind: type[StrEnum], **kwargs: Any) -> fields.Enum[Any]:
    """One of the words of *kind*, read as its member."""
    return fields.Enum(kind, by_value=True, **kwargs)


class Flag(fields.Boolean):
    """``true`` or ``false`` and nothing that only resembles them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if value is True or value is False:
            return bool(value)
        raise ValidationError("expected true or false")
