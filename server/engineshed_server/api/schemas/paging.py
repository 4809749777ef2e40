"""Lists in pages: what is asked, and how a place in a list is written."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from engineshed_packages.errors import VersionUnreadable
from engineshed_packages.versions import Version
from engineshed_server.api.schemas.base import Digits, RequestSchema

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_CURSOR_CHARS = 600
MAX_NUMBER_DIGITS = 18

Position = tuple[str, ...]


def write_cursor(position: Position) -> str:
    """*position* as clients carry it: opaque, and safe in an address."""
    return base64.urlsafe_b64encode(json.dumps(position).encode("utf-8")).decode("ascii").rstrip("=")


class Place(StrEnum):
    """What a part of a place in a list is."""

    TEXT = "text"
    NUMBER = "number"
    MOMENT = "moment"
    VERSION = "version"

    def check(self, part: object) -> str:
        """Return *part* when it is one.

        Raises:
            ValueError, VersionUnreadable: it is none.
        """
        if not (isinstance(part, str) and part.isascii() and part.isprintable()):
            raise ValueError("no text")
        if self is Place.NUMBER and not (part.isdigit() and len(part) <= MAX_NUMBER_DIGITS):
            raise ValueError("no number")
        if self is Place.MOMENT and datetime.fromisoformat(part).tzinfo is None:
            raise ValueError("no moment in time")
        if self is Place.VERSION:
            Version.parse(part)
        return part


class Cursor(fields.String):
    """A place in a list, taken from the ``Link`` of the page before; becomes a tuple of texts.

    The document names its parts in ``format``, as ``cursor-moment-text``.
    """

    def __init__(self, *parts: Place) -> None:
        about = {
            "description": "From the Link of the page before.",
            "format": "-".join(["cursor", *parts]),
            "minLength": 1,
            "maxLength": MAX_CURSOR_CHARS,
        }
        super().__init__(load_default=None, metadata=about)
        self._parts = parts

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            if len(value) > MAX_CURSOR_CHARS:
                raise ValueError("too long")
            padded = value + "=" * (-len(value) % 4)
            found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            if not isinstance(found, list) or len(found) != len(self._parts):
                raise ValueError("not a place in this list")
            return tuple(place.check(part) for place, part in zip(self._parts, found, strict=True))
        except (ValueError, RecursionError, VersionUnreadable) as err:
            raise ValidationError("is no cursor of this list: begin without one, then follow Link") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """How many items are wanted at most, and from behind which place; the filters of a list come on top."""

    limit: int
    cursor: Position | None

    @property
    def after(self) -> str | None:
        """The place in a list whose places are one text."""
        return None if self.cursor is None else self.cursor[0]


class PageQuerySchema(RequestSchema):
    """The query of a list; one with filters is made of a subclass of this and one of ``PageQuery``."""

    makes: ClassVar[type[Any]] = PageQuery

    limit = Digits(least=1, most=MAX_LIMIT, load_default=DEFAULT_LIMIT)
    cursor = Cursor(Place.TEXT)


class NumberedPageSchema(PageQuerySchema):
    """The query of a list whose places are numbers."""

    cursor = Cursor(Place.NUMBER)
