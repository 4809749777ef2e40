"""Is this process able to serve? Each check says what it found and what to do; none of them raises.

A check that fails makes the process *bad*: whoever asks would be answered wrongly or not at all, so nobody
should be sent here. Or it makes it *degraded*: something is not done, but engines poll, download and report
as ever; sent elsewhere they would most often meet the same database, disk or vendor.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from engineshed_packages.errors import PackagesError
from engineshed_packages.metadata.lives import read_lives
from engineshed_packages.times import format_time
from engineshed_server.db import schema
from engineshed_server.errors import ServerError, SetupRefused
from engineshed_server.services.portal import Portal

MAX_SNAPSHOT_AGE_S = 10.0  # twenty looks at the generation missed: revocations may not be in force
NO_SPACE_BYTES = 1024**2  # less than SQLite and the files of one small change need
CLOCK_TOLERANCE = timedelta(minutes=5)  # the vendor's clock is not exact either
_DAY = timedelta(days=1)
_MAKE_ROOM = "make room on the volume of the data folder: the uploads in incoming/ end by themselves in a day"


class Status(StrEnum):
    """The word on all checks: serve; serve, but somebody should look; send nobody here."""

    GOOD = "good"
    DEGRADED = "degraded"
    BAD = "bad"


_NOT_ASKED = ("cannot be asked for", "see the check database", Status.BAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must work.

    Attributes:
        text: what was found. remedy: what to do, empty when there is nothing.
        status: what the process is because of this alone.
    """

    name: str
    text: str
    remedy: str = ""
    status: Status = Status.GOOD

    @property
    def good(self) -> bool:
        """Whether it works."""
        return self.status is Status.GOOD


def check_readiness(portal: Portal, *, now: datetime) -> tuple[Check, ...]:
    """All checks, each in its own place whatever the others found."""
    database = _database(portal)
    return (
        database,
        # Whoever waits for an answer waits for a database that is away but once.
        _schema(portal) if database.good else _failed("schema", *_NOT_ASKED),
        _snapshot(portal),
        _data_folder(portal),
        _disk(portal),
        _blobs(portal),
        _incoming(portal),
        _metadata(portal, now=now),
        _order_key(portal),
        _clock(portal, now=now),
        _stops(portal),
    )


def status_of(checks: Sequence[Check]) -> Status:
    """The worst of *checks*."""
    found = {check.status for check in checks}
    return next((status for status in (Status.BAD, Status.DEGRADED) if status in found), Status.GOOD)


def _database(portal: Portal) -> Check:
    try:
        portal.database.ping()
    except ServerError as err:
        remedy = (
            "look at the database server, its log and database.url; a portal needs no restart when it is back"
        )
        return Check(name="database", text=err.message, remedy=remedy, status=Status.BAD)
    return Check(name="database", text="answers")


def _schema(portal: Portal) -> Check:
    try:
        schema.require_current(portal.database)
    except SetupRefused as err:
        # Migrations work with the version before: while hosts are updated one by one, this one goes on.
        newer = err.code == "database-newer"
        remedy = "update this host too" if newer else "run `engineshed-server db upgrade`"
        return _failed("schema", err.message, remedy, Status.DEGRADED if newer else Status.BAD)
    except ServerError:
        return _failed("schema", *_NOT_ASKED)
    return Check(name="schema", text="is the one of this version")


def _snapshot(portal: Portal) -> Check:
    age_s = portal.snapshot.age_s()
    if age_s > MAX_SNAPSHOT_AGE_S:
        never = age_s == float("inf")
        text = "was never loaded" if never else f"was last compared with the database {age_s:.0f} s ago"
        remedy = (
            "revocations and stops may not be in force here: see the check database, then restart the portal"
        )
        return _failed("snapshot", text, remedy, Status.BAD)
    return Check(name="snapshot", text=f"was compared with the database {age_s:.1f} s ago")


def _data_folder(portal: Portal) -> Check:
    return _folder("data-folder", portal.folders.data, failing=Status.BAD)


def _incoming(portal: Portal) -> Check:
    return _folder("incoming", portal.folders.incoming, failing=Status.DEGRADED)


def _blobs(portal: Portal) -> Check:
    """Without the folder there is nothing to download; when it only cannot be written, there is."""
    folder = portal.folders.blobs
    failing = Status.DEGRADED if folder.is_dir() else Status.BAD
    return _folder("blobs", folder, failing=failing)


def _folder(name: str, folder: Path, *, failing: Status) -> Check:
    """Written to in earnest: rights, a read-only mount and a failing disk look alike to nothing else."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as err:
        remedy = (
            f"let the portal's user write in {folder}, or mount it again; see the kernel's log for the disk"
        )
        return _failed(name, f"{folder} cannot be written: {err.strerror or err}", remedy, failing)
    return Check(name=name, text=f"{folder} can be written")


def _disk(portal: Portal) -> Check:
    limit_bytes = portal.settings.free_bytes
    try:
        free_bytes = shutil.disk_usage(portal.folders.data).free
    except OSError as err:
        remedy = "see the check data-folder"
        return _failed("disk", f"cannot be asked for its space: {err.strerror}", remedy, Status.BAD)
    if free_bytes < NO_SPACE_BYTES:
        return _failed("disk", f"is full: {free_bytes} bytes are free", _MAKE_ROOM, Status.BAD)
    if free_bytes < limit_bytes:
        text = f"has {free_bytes} bytes free, limits.free_bytes is {limit_bytes}: no upload is taken"
        return _failed("disk", text, _MAKE_ROOM, Status.DEGRADED)
    return Check(name="disk", text=f"has {free_bytes} bytes free")


def _metadata(portal: Portal, *, now: datetime) -> Check:
    snapshot = portal.snapshot.current()
    anew = "upload the vendor's newest bundle"
    if snapshot.faults:
        remedy = f"{anew} again, or restore the database"
        return _failed("metadata", "; ".join(snapshot.faults), remedy, Status.DEGRADED)
    try:
        lives = read_lives(portal.metadata.folder)
    except (PackagesError, OSError) as err:
        # Nothing that is offered could be verified.
        return _failed("metadata", f"the published set is damaged: {err}", f"{anew} again", Status.BAD)
    if not lives and snapshot.timestamp_version == 0:
        return Check(name="metadata", text="no bundle was published yet")
    if not lives:
        text = f"timestamp {snapshot.timestamp_version} was published, but {portal.metadata.folder} has none"
        return _failed("metadata", text, f"{anew} again", Status.BAD)
    text = ", ".join(f"{life.name} {(life.expires - now) / _DAY:.0f} days" for life in lives)
    expired = [life.name for life in lives if life.expires <= now]
    if expired:
        # Expired metadata ends installing, not serving: engines still poll and report.
        text = f"{', '.join(expired)} expired, nothing is installed from it; left: {text}"
        return _failed(
            "metadata", text, f"{anew}; ask the vendor for one when there is none", Status.DEGRADED
        )
    return Check(name="metadata", text=f"left: {text}")


def _order_key(portal: Portal) -> Check:
    key = portal.configuration.active
    if portal.keys.is_stored(key):
        return Check(name="order-key", text=f"{key.fingerprint} is here")
    in_memory = portal.keys.find_signer(key) is not None
    text = f"{key.fingerprint} is not in {portal.folders.secrets}, or cannot be read"
    text += "; this process has it in memory until it ends" if in_memory else ": no order is given"
    remedy = "restore it from a backup, or run `engineshed-server order-key recover`: docs/recovery.md"
    return _failed("order-key", text, remedy, Status.DEGRADED)


def _clock(portal: Portal, *, now: datetime) -> Check:
    newest = portal.snapshot.current().newest_date
    if newest is not None and now + CLOCK_TOLERANCE < newest:
        text = f"says {format_time(now)}, and the vendor has signed at {format_time(newest)}"
        remedy = "set this host's clock: tokens, orders and expiry go by it"
        return _failed("clock", text, remedy, Status.DEGRADED)
    return Check(name="clock", text="is not behind the vendor's newest signature")


def _stops(portal: Portal) -> Check:
    # A portal under an emergency stop serves as it should. The reason is not for everybody who can ask here.
    on = "; ".join(stop.scope for stop in portal.snapshot.current().stops)
    return Check(name="emergency-stops", text=f"on for {on}" if on else "none is on")


def _failed(name: str, text: str, remedy: str, status: Status) -> Check:
    return Check(name=name, text=text, remedy=remedy, status=status)
