"""Is this process able to serve? Each check says what it found; none of them raises."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.times import format_time
from engineshed_server.errors import ServerError
from engineshed_server.services.portal import Portal

MAX_SNAPSHOT_AGE_S = 10.0  # twenty looks at the generation missed: revocations may not be in force
MIN_FREE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must work."""

    name: str
    good: bool
    text: str


def check_readiness(portal: Portal, *, now: datetime) -> tuple[Check, ...]:
    """All checks; the process is ready when all are good."""
    return (_database(portal), _memory(portal), _disk(portal), _metadata(portal, now=now), _stops(portal))


def _database(portal: Portal) -> Check:
    try:
        portal.database.ping()
    except ServerError as err:
        return Check(name="database", good=False, text=err.message)
    return Check(name="database", good=True, text="answers")


def _memory(portal: Portal) -> Check:
    age_s = portal.snapshot.age_s()
    good = age_s <= MAX_SNAPSHOT_AGE_S
    text = "not loaded yet" if age_s == float("inf") else f"checked {age_s:.1f} s ago"
    return Check(name="snapshot", good=good, text=text)


def _disk(portal: Portal) -> Check:
    folder = portal.folders.data
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError as err:
        return Check(name="data-folder", good=False, text=f"{folder}: {err.strerror}")
    good = free_bytes >= MIN_FREE_BYTES and os.access(folder, os.W_OK)
    return Check(name="data-folder", good=good, text=f"{free_bytes} bytes free")


def _metadata(portal: Portal, *, now: datetime) -> Check:
    snapshot = portal.snapshot.current()
    if snapshot.faults:
        text = "; ".join(snapshot.faults) + ": upload the newest bundle again, or restore the database"
        return Check(name="metadata", good=False, text=text)
    expires = snapshot.metadata_expires
    if expires is None:
        return Check(name="metadata", good=True, text="no bundle was published yet")
    # Expired metadata stops installing, not serving: engines still poll and report.
    text = "has expired: upload a newer bundle" if expires <= now else f"good until {format_time(expires)}"
    return Check(name="metadata", good=True, text=text)


def _stops(portal: Portal) -> Check:
    # A portal under an emergency stop serves as it should. The reason is not for everybody who can ask here.
    on = "; ".join(stop.scope for stop in portal.snapshot.current().stops)
    return Check(name="emergency-stops", good=True, text=f"on for {on}" if on else "none is on")
