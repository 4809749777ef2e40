"""Whose an upload is: only its owner and admins know of it, to all others it does not exist."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from engineshed_server.db import uploads
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.uploads import UploadRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.uploads import CREATED, Uploader
from engineshed_server.errors import NotFound
from engineshed_server.services.portal import Portal
from engineshed_server.services.uploads.outcome import Outcome, read_outcome
from engineshed_server.storage.incoming import UploadFile

LOCK_WAIT_S = 3.0  # a connection that was cut is noticed in less; then the bytes that came by it are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload as its owner sees it.

    Attributes:
        outcome: ``Ingested`` when it is done, the reason when it failed or has to wait, else None.
    """

    upload_id: str
    name: str
    sent_metadata: str
    length_bytes: int
    offset_bytes: int
    state: str
    outcome: Outcome | None
    created: datetime
    expires: datetime


def upload_of(record: UploadRecord) -> Upload:
    """*record* as its owner sees it."""
    return Upload(
        upload_id=record.upload_id,
        name=record.name,
        sent_metadata=record.sent_metadata,
        length_bytes=record.length_bytes,
        offset_bytes=record.offset_bytes,
        state=record.state,
        outcome=read_outcome(record.outcome),
        created=record.created,
        expires=record.expires,
    )


def show_upload(portal: Portal, upload_id: str, *, asking: Uploader, now: datetime) -> Upload:
    """One upload, as it is written down.

    Raises:
        NotFound: ``upload-unknown``, also when it is somebody else's; ``upload-expired``.
    """
    return upload_of(find_own(portal, upload_id, asking=asking, now=now))


def show_progress(portal: Portal, upload_id: str, *, asking: Uploader, now: datetime) -> Upload:
    """One upload, once nobody is writing to it: from its offset on bytes may be sent.

    Raises:
        NotFound: as ``show_upload``. TryLater: ``upload-locked``.
    """
    record = find_own(portal, upload_id, asking=asking, now=now)
    if record.state == CREATED:
        with held(portal, upload_id, wait_s=LOCK_WAIT_S, now=now) as (current, _):
            record = current
    return upload_of(record)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPage:
    """Some uploads; ``more`` says whether others come behind them."""

    uploads: tuple[Upload, ...]
    more: bool


def page_uploads(
    portal: Portal, *, asking: Uploader, limit: int, after: tuple[datetime, str] | None
) -> UploadPage:
    """The uploads of the one who asks, for an admin everybody's; the newest first.

    Args:
        after: when the last one of the page before was begun, and its id.
    """
    owner = None if asking.sees_all else asking
    with portal.database.read() as session:
        found = uploads.list_uploads(session, owner=owner, limit=limit + 1, after=after)
    return UploadPage(uploads=tuple(map(upload_of, found[:limit])), more=len(found) > limit)


def terminate_upload(
    portal: Portal, upload_id: str, *, asking: Uploader, actor: Actor, now: datetime
) -> None:
    """End an upload and remove its bytes; what was published of it stays.

    Raises:
        NotFound: as ``show_upload``. TryLater: ``upload-locked``.
    """
    find_own(portal, upload_id, asking=asking, now=now)
    with held(portal, upload_id, wait_s=LOCK_WAIT_S, now=now) as (record, file):
        with portal.database.write() as session:
            uploads.delete_upload(session, upload_id)
            before: Details = {"state": record.state, "offset": record.offset_bytes}
            add_audit(
                session,
                "upload-terminated",
                subject=upload_id,
                actor=actor,
                now=now,
                details={"name": record.name},
                before=before,
            )
        file.discard()


def find_own(portal: Portal, upload_id: str, *, asking: Uploader, now: datetime) -> UploadRecord:
    """The record, when it may be seen by *asking*; raises as ``show_upload``."""
    with portal.database.read() as session:
        record = uploads.find_upload(session, upload_id)
    if record is None or not (asking.sees_all or asking.owns(record.token_id, record.user_name)):
        raise _unknown(upload_id)
    if record.expires <= now:
        raise NotFound(
            "upload-expired", f"the upload {upload_id} was left alone for too long: begin a new one"
        )
    return record


def _unknown(upload_id: str) -> NotFound:
    return NotFound("upload-unknown", f"there is no upload {upload_id[:40]!r}: begin a new one")


@contextmanager
def held(
    portal: Portal, upload_id: str, *, wait_s: float, now: datetime
) -> Iterator[tuple[UploadRecord, UploadFile]]:
    """An upload and its file, read after the lock was taken: nobody else changes either inside the block.

    Raises:
        NotFound: ``upload-unknown``: it is gone meanwhile. TryLater: ``upload-locked``.
    """
    with portal.incoming.held(upload_id, wait_s=wait_s) as file:
        with portal.database.read() as session:
            record = uploads.find_upload(session, upload_id)
        if record is None:
            file.discard()
            raise _unknown(upload_id)
        yield _agreed(portal, record, file, now=now), file


def _agreed(portal: Portal, record: UploadRecord, file: UploadFile, *, now: datetime) -> UploadRecord:
    """The record, its offset taken back to what the file holds: a restored backup may know of lost bytes."""
    size_bytes = file.size_bytes()
    if record.state != CREATED or size_bytes >= record.offset_bytes:
        return record
    with portal.database.write() as session:
        uploads.move_offset(session, record, to_bytes=size_bytes, now=now, expires=record.expires)
        current = uploads.find_upload(session, record.upload_id)
    if current is None:
        raise _unknown(record.upload_id)
    return current
