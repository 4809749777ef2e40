"""What the address of a list says behind its ``?``: filters, and from where on it is shown.

Bounded, as forms are.

wanted = AuditFilter(action=queries.word("action"), since=queries.moment("since"))
page = list_audit(portal(), wanted, limit=queries.PAGE_LINES, after=queries.word("after"))
queries.same_page(after=page.after)         the address of what follows, all else as it is
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from flask import request, url_for

from engineshed_packages.jsontext import escape_controls
from engineshed_server.errors import Refused
from engineshed_server.services.pages import no_place

PAGE_LINES = 50
MAX_WORD_CHARS = 400  # the longest subject of a change
_BETWEEN = "~"  # stands in no time and no id
_MAX_DIGITS = 6

Choice = TypeVar("Choice", bound=StrEnum)


def word(name: str) -> str | None:
    """The value of *name*; None when there is none, or an empty one, as of a field nobody filled in.

    Raises:
        Refused: code ``parameter-unreadable``.
    """
    found = request.args.get(name, "").strip()
    if len(found) > MAX_WORD_CHARS or escape_controls(found) != found:
        raise Refused(
            "parameter-unreadable",
            f"{name} is {found[:40]!r}, expected at most {MAX_WORD_CHARS} characters of plain text",
        )
    return found or None


def choice(name: str, kind: type[Choice]) -> Choice | None:
    """The value of *name* as one of *kind*.

    Raises:
        Refused: code ``parameter-unreadable``.
    """
    found = word(name)
    if found is None:
        return None
    try:
        return kind(found)
    except ValueError as err:
        message = f"{name} is {found[:40]!r}, expected one of {', '.join(kind)}"
        raise Refused("parameter-unreadable", message) from err


def page_number() -> int:
    """The number of the page that is wanted, 1 when none is named.

    Raises:
        Refused: code ``page-place``.
    """
    found = word("page") or "1"
    if not (found.isascii() and found.isdigit() and len(found) <= _MAX_DIGITS and int(found) >= 1):
        raise no_place()
    return int(found)


def moment(name: str) -> datetime | None:
    """The value of *name* as a point in time, UTC unless it says another zone.

    Raises:
        Refused: code ``parameter-unreadable``.
    """
    found = word(name)
    if found is None:
        return None
    try:
        there = datetime.fromisoformat(found)
        return there.replace(tzinfo=UTC) if there.tzinfo is None else there.astimezone(UTC)
    except (ValueError, OverflowError) as err:
        message = f"{name} is {found[:40]!r}, expected a time such as 2026-11-24T15:07, in UTC"
        raise Refused("parameter-unreadable", message) from err


def place(name: str, *, parts: int) -> tuple[str, ...] | None:
    """From behind where a list is wanted: so many *parts*, as ``written`` has put them together.

    Raises:
        Refused: codes ``parameter-unreadable`` and ``page-place``.
    """
    found = word(name)
    if found is None:
        return None
    split = tuple(found.split(_BETWEEN))
    if len(split) != parts:
        raise no_place()
    return split


def written(after: tuple[str, ...] | None) -> str | None:
    """The place *after* as it stands in an address."""
    return None if after is None else _BETWEEN.join(after)


def same_page(**changes: str | int | None) -> str:
    """The address of this page with other values; None leaves one out."""
    assert request.endpoint is not None  # it is a page of ours that asks
    values = {**request.args.to_dict(), **(request.view_args or {}), **changes}
    return url_for(request.endpoint, **{name: value for name, value in values.items() if value is not None})


def pages_of(after: str | None, *, name: str = "after") -> dict[str, str | None]:
    """The addresses of a list's first page and of its next, from behind *after*; None where there is none."""
    return {
        "first": same_page(**{name: None}) if name in request.args else None,
        "next": None if after is None else same_page(**{name: after}),
    }
