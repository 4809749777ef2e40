"""What this portal is and stands on: versions, and how long the vendor's metadata is still good."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timedelta

from engineshed_packages import __version__
from engineshed_packages.errors import PackagesError
from engineshed_packages.metadata.lives import read_lives
from engineshed_server.services.portal import Portal

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleLeft:
    """A role of the vendor's metadata; *days_left* is 0 or less once it has expired."""

    name: str
    version: int
    expires: datetime
    days_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A portal.

    Attributes:
        database: its kind and version. order_key: fingerprint of the one that signs.
        roles: those of the published metadata, the root first; none before the first bundle.
        fault: why the roles cannot be told, None when they can.
    """

    version: str
    python: str
    database: str
    portal_id: str
    order_key: str
    roles: tuple[RoleLeft, ...]
    fault: str | None


def show_about(portal: Portal, *, now: datetime) -> About:
    """The portal as it is at *now*.

    Raises:
        TryLater: the database is away.
    """
    roles: tuple[RoleLeft, ...] = ()
    fault: str | None = None
    try:
        roles = tuple(
            RoleLeft(
                name=life.name,
                version=life.version,
                expires=life.expires,
                days_left=(life.expires - now) / _DAY,
            )
            for life in read_lives(portal.metadata.folder)
        )
    except (PackagesError, OSError) as err:
        fault = str(err)
    return About(
        version=__version__,
        python=platform.python_version(),
        database=portal.database.version(),
        portal_id=portal.identity.portal_id,
        order_key=portal.configuration.active.fingerprint,
        roles=roles,
        fault=fault,
    )
