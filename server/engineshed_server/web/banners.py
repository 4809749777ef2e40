"""The row above every page: what everybody who is logged in has to know now.

A banner is made from the memory of the process; none may ask the database, it would be asked for every page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from engineshed_server.services.portal import Portal


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """One line: *kind* is ``bad``, ``warn`` or ``info``."""

    kind: str
    text: str


def emergency_stops(portal: Portal, now: datetime) -> Iterator[Banner]:
    """That nothing begins to install."""
    for stop in portal.snapshot.current().stops:
        yield Banner(kind="bad", text=f"Emergency stop for {stop.scope}: {stop.reason}")


SOURCES: tuple[Callable[[Portal, datetime], Iterator[Banner]], ...] = (emergency_stops,)


def banners_of(portal: Portal, now: datetime) -> list[Banner]:
    """All banners, in the order of their sources."""
    return [banner for source in SOURCES for banner in source(portal, now)]
