"""What nobody goes on with is removed: a day after its last byte, or after its outcome."""

from __future__ import annotations

import logging
from datetime import datetime

from engineshed_server.db import uploads
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.uploads import UploadRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.uploads import OPEN
from engineshed_server.errors import TryLater
from engineshed_server.services.portal import Portal

SWEEPER = Actor("sweep")

logger = logging.getLogger(__name__)


def sweep(portal: Portal, *, now: datetime) -> None:
    """Remove every upload whose time is over, and files that no open one needs; one in use is left alone.

    Raises:
        TryLater: ``storage-failed``, or the database is away.
    """
    files = portal.incoming.list_ids()  # before the rows: a row is written before its file
    with portal.database.read() as session:
        expired = {record.upload_id for record in uploads.list_expired(session, now=now)}
        needed = uploads.list_open_ids(session)
    for upload_id in sorted(expired | (files - needed)):
        try:
            _sweep_one(portal, upload_id, now=now)
        except TryLater as err:
            if err.code != "upload-locked":
                raise


def _sweep_one(portal: Portal, upload_id: str, *, now: datetime) -> None:
    with portal.incoming.held(upload_id, wait_s=0) as file:
        with portal.database.write() as session:
            record = uploads.find_upload(session, upload_id)
            if record is not None and record.expires <= now:
                _forget(session, record, now=now)
            elif record is not None and record.state in OPEN:
                return
        file.discard()


def _forget(session: Session, record: UploadRecord, *, now: datetime) -> None:
    uploads.delete_upload(session, record.upload_id)
    if record.state not in OPEN:
        return  # its outcome stands in the audit
    told: Details = {"name": record.name, "length": record.length_bytes, "offset": record.offset_bytes}
    add_audit(session, "upload-expired", subject=record.upload_id, actor=SWEEPER, now=now, details=told)
    logger.info("upload expired", extra={"upload": record.upload_id, "offset": record.offset_bytes})
