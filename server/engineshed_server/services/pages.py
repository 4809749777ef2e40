"""Lists in pages: the error about a place that is none."""

from __future__ import annotations

from datetime import datetime

from engineshed_server.errors import Refused


def no_place() -> Refused:
    """A page was asked for from behind a place that is none of its list."""
    return Refused("page-place", "the cursor is no place in this list: begin without one, then follow Link")


def moment_of(place: str) -> datetime:
    """The instant that a place names.

    Raises:
        Refused: code ``page-place``.
    """
    try:
        moment = datetime.fromisoformat(place)
    except ValueError as err:
        raise no_place() from err
    if moment.tzinfo is None:
        raise no_place()
    return moment


def number_of(place: str) -> int:
    """The whole number that a place names.

    Raises:
        Refused: code ``page-place``.
    """
    if not (place.isascii() and place.isdigit() and len(place) <= 18):
        raise no_place()
    return int(place)
