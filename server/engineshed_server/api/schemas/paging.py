"""Lists in pages: what is asked, and how a place in a list is written."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from engineshed_server.api.schemas.base import Digits, RequestSchema

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_CURSOR_CHARS = 600

Position = tuple[str, ...]


def write_cursor(position: Position) -> str:
    """*position* as clients carry it: opaque, and safe in an address."""
    return base64.urlsafe_b64encode(json.dumps(position).encode("utf-8")).decode("ascii").rstrip("=")


class Cursor(fields.String):
    """A place in a list, taken from the ``Link`` of the page before; becomes a tuple of *parts* texts."""

    def __init__(self, *, parts: int = 1, **kwargs: Any) -> None:
        kwargs.setdefault("metadata", {"format": "cursor", "description": "from the Link of the page before"})
        super().__init__(load_default=None, **kwargs)
        self._parts = parts

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            if len(value) > MAX_CURSOR_CHARS:
                raise ValueError("too long")
            found = json.loads(
                base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
            )
            position = tuple(found) if isinstance(found, list) else ()
            if len(position) != self._parts or not all(_is_place(part) for part in position):
                raise ValueError("not a place in this list")
        except (ValueError, RecursionError) as err:
            raise ValidationError("is no cursor of this list: begin without one, then follow Link") from err
        return position


def _is_place(part: object) -> bool:
    return isinstance(part, str) and part.isprintable() and part.isascii()


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
    cursor = Cursor()
