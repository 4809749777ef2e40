"""From settings to a working ``Portal``: the only place that chooses implementations.

portal = open_portal(settings)              # in the process that uses it: after a fork, never before
background = start_background(portal)       # only where requests are served
...
background.stop()
portal.close()
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from engineshed_packages.enrolment import fingerprint
from engineshed_packages.errors import FileRefused
from engineshed_packages.files import read_limited
from engineshed_server.db import configurations, schema
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.database import Database
from engineshed_server.domain.metrics import Meters
from engineshed_server.errors import ServerError, SetupRefused, TryLater
from engineshed_server.meters import shared
from engineshed_server.meters.counts import Counts, SharedCounts
from engineshed_server.services.access_tokens import AccessTokens
from engineshed_server.services.background import Background
from engineshed_server.services.ingest import recover
from engineshed_server.services.portal import REPOSITORY, Identity, Portal
from engineshed_server.services.presence import Presence
from engineshed_server.services.secret_texts import derived_key
from engineshed_server.services.snapshot import SnapshotHolder
from engineshed_server.services.token_use import TokenUse
from engineshed_server.services.uploads.sweeping import sweep
from engineshed_server.settings import Settings
from engineshed_server.storage.blobs import LocalBlobs
from engineshed_server.storage.folders import Folders
from engineshed_server.storage.incoming import Incoming
from engineshed_server.storage.order_keys import OrderKeyFiles
from engineshed_server.storage.published import PublishedMetadata

MAX_SECRET_FILE_BYTES = 64 * 1024
MAX_ROOT_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)


def open_portal(settings: Settings, *, meters: Meters | None = None) -> Portal:
    """Open the portal in the settings' data folder; its snapshot is loaded.

    Args:
        meters: of a process that serves beside others; None: what this one counts nobody else is told.

    Raises:
        SetupRefused: ``setup-missing``, ``database-outdated``, ``database-newer``, ``database-damaged``,
            ``database-url``, ``database-unreadable``, ``setup-ca-file`` or ``order-key-lost``: nothing can be
            served as it is.
        TryLater: the database is away.
    """
    portal = open_keyless_portal(settings, meters=meters)
    active = portal.configuration.active
    if portal.keys.find_signer(active) is None:
        portal.close()
        raise SetupRefused(
            "order-key-lost",
            f"the portal's order key {active.fingerprint} is not in {portal.folders.secrets}, or cannot be "
            "read: restore it from a backup, or bring the standby key and run "
            "`engineshed-server order-key recover --standby FILE`",
        )
    return portal


def open_keyless_portal(settings: Settings, *, meters: Meters | None = None) -> Portal:
    """As ``open_portal``, also when the order key is lost: to replace it.

    Raises:
        SetupRefused, TryLater: as ``open_portal``.
    """
    folders = Folders(settings.data_dir)
    if not folders.trusted_root.is_file():
        raise SetupRefused(
            "setup-missing", f"{settings.data_dir} holds no portal: run `engineshed-server init` first"
        )
    database = Database(settings.database_url, connections=_connections(settings))
    try:
        database.check_file()
        identity = _identity(settings, folders, database=database)
    except BaseException:
        database.close()
        raise
    access_key = _secret(folders.access_key)
    snapshot = SnapshotHolder(database, repository=REPOSITORY)
    snapshot.refresh()
    return Portal(
        settings=settings,
        folders=folders,
        identity=identity,
        database=database,
        blobs=LocalBlobs(folders.blobs),
        incoming=Incoming(folders.incoming),
        metadata=PublishedMetadata(folders.metadata),
        access=AccessTokens(access_key, issuer=identity.portal_id),
        snapshot=snapshot,
        keys=OrderKeyFiles(folders),
        presence=Presence(),
        token_use=TokenUse(),
        page_key=derived_key(access_key, "pages"),
        meters=meters or Counts(),
    )


def begin_counting(settings: Settings) -> None:
    """Before the first process that serves is made: forget what those before have counted."""
    try:
        shared.empty(Folders(settings.data_dir).meters)
    except TryLater as err:
        logger.warning("counts not begun anew", extra={"code": err.code, "reason": err.message})


def join_counting(settings: Settings) -> Meters:
    """The meters of one of the processes that serve beside each other."""
    return SharedCounts(Folders(settings.data_dir).meters)


def end_counting(settings: Settings, pid: int) -> None:
    """After process *pid*, one of these, has ended: keep what it has counted."""
    try:
        shared.take_in_ended(Folders(settings.data_dir).meters, pid)
    except TryLater as err:
        logger.warning("counts of an ended process left", extra={"pid_ended": pid, "code": err.code})


def start_background(portal: Portal) -> Background:
    """Finish what a killed process left, and start the threads of a serving process."""
    try:
        recover(portal, now=datetime.now(UTC))
        sweep(portal, now=datetime.now(UTC))
    except ServerError as err:
        # Another process is at it, or the disk is full: serving goes on, the next ingest tries again.
        logger.warning("recovery put off", extra={"code": err.code})
    return Background(portal)


def _connections(settings: Settings) -> int:
    """A thread that writes may look at something else meanwhile; the two of the background come on top."""
    return 2 * settings.threads + 2


def _identity(settings: Settings, folders: Folders, *, database: Database) -> Identity:
    schema.require_current(database)
    with database.read() as session:
        portal_id = portal_rows.find_portal_id(session)
        current = configurations.find_current(session)
    if portal_id is None or current is None:
        raise SetupRefused(
            "setup-missing", "the database holds no portal: run `engineshed-server init` first"
        )
    return Identity(
        portal_id=portal_id,
        ca_fingerprint=_ca_fingerprint(settings.ca_file),
        root=_read(folders.trusted_root, MAX_ROOT_BYTES, code="setup-missing"),
    )


def _secret(path: Path) -> bytes:
    return _read(path, MAX_SECRET_FILE_BYTES, code="setup-missing")


def _ca_fingerprint(ca_file: Path | None) -> str | None:
    if ca_file is None:
        return None
    return fingerprint(_read(ca_file, MAX_ROOT_BYTES, code="setup-ca-file"))


def _read(path: Path, limit_bytes: int, *, code: str) -> bytes:
    try:
        return read_limited(path, limit_bytes)
    except FileRefused as err:
        raise SetupRefused(code, err.message) from err
