"""The row above every page: what everybody who is logged in has to know now.

A banner is made from what the process knows, or the system at once; none may ask the database, it would be
asked for every page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from engineshed_server.errors import TryLater
from engineshed_server.services.portal import Portal
from engineshed_server.web.showing import size

EXPIRES_SOON = timedelta(days=14)  # as the alerts for Prometheus have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """One line: *kind* is ``bad``, ``warn`` or ``info``."""

    kind: str
    text: str


def emergency_stops(portal: Portal, now: datetime) -> Iterator[Banner]:
    """That nothing begins to install."""
    for stop in portal.snapshot.current().stops:
        yield Banner(kind="bad", text=f"Emergency stop for {stop.scope}: {stop.reason}")


def metadata_running_out(portal: Portal, now: datetime) -> Iterator[Banner]:
    """That engines install nothing any more, or soon, when no newer bundle comes."""
    expires = portal.snapshot.current().metadata_expires
    if expires is None or expires - now > EXPIRES_SOON:
        return
    day = f"{expires:%Y-%m-%d %H:%M} UTC"
    if expires <= now:
        text = (
            f"The vendor's metadata expired on {day}: nothing is installed. Upload the vendor's newest bundle"
        )
        yield Banner(kind="bad", text=text)
    else:
        text = f"The vendor's metadata expires on {day}: upload the vendor's newest bundle before"
        yield Banner(kind="warn", text=text)


def disk_low(portal: Portal, now: datetime) -> Iterator[Banner]:
    """That no upload is taken."""
    try:
        free_bytes = portal.incoming.free_bytes()
    except (OSError, TryLater):
        return  # what else is wrong then, is told by /readyz?verbose
    limit_bytes = portal.settings.free_bytes
    if free_bytes < limit_bytes:
        text = f"The portal's disk has {size(free_bytes)} left, not {size(limit_bytes)}: no upload is taken"
        yield Banner(kind="bad", text=text)


SOURCES: tuple[Callable[[Portal, datetime], Iterator[Banner]], ...] = (
    emergency_stops,
    metadata_running_out,
    disk_low,
)


def banners_of(portal: Portal, now: datetime) -> list[Banner]:
    """All banners, in the order of their sources."""
    return [banner for source in SOURCES for banner in source(portal, now)]
