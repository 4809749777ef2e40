"""A new upload: allowed or refused before a byte of it comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.ids import new_id
from engineshed_server.db import portal as portal_rows
from engineshed_server.db import uploads
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.uploads import UploadRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.uploads import CREATED, LIFE, Uploader, missing_space_bytes
from engineshed_server.errors import Refused, Throttled, TooLarge, TryLater
from engineshed_server.services.portal import Portal
from engineshed_server.services.uploads.owning import Upload, upload_of
from engineshed_server.services.uploads.sweeping import sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What somebody wants to send.

    Attributes:
        name: of the file, for people. sent_metadata: the header it stood in, given back as it came.
    """

    length_bytes: int
    name: str
    sent_metadata: str


def open_upload(portal: Portal, wanted: NewUpload, *, owner: Uploader, actor: Actor, now: datetime) -> Upload:
    """Begin an upload.

    Raises:
        TooLarge: ``upload-too-large``. Refused: ``upload-empty``.
        Throttled: ``uploads-too-many``. TryLater: ``disk-full``.
    """
    limit_bytes = portal.settings.upload_bytes
    if wanted.length_bytes > limit_bytes:
        raise TooLarge(
            "upload-too-large",
            f"the upload has {wanted.length_bytes} bytes, at most {limit_bytes} are taken: "
            "raise limits.upload_bytes",
        )
    if wanted.length_bytes == 0:
        raise Refused("upload-empty", "the upload has no bytes: an empty file is no bundle")
    sweep(portal, now=now)
    record = UploadRecord(
        upload_id=new_id("upl"),
        token_id=owner.token_id,
        user_name=owner.user_name,
        address=actor.address,
        name=wanted.name,
        sent_metadata=wanted.sent_metadata,
        length_bytes=wanted.length_bytes,
        offset_bytes=0,
        state=CREATED,
        tries=0,
        not_before=now,
        outcome=None,
        created=now,
        expires=now + LIFE,
    )
    free_bytes = portal.incoming.free_bytes()
    with portal.database.write() as session:
        portal_rows.lock_portal(session)  # two that fit one by one need not fit together
        _check_number(portal, session, owner)
        _check_space(portal, session, wanted.length_bytes, free_bytes=free_bytes)
        uploads.add_upload(session, record)
        details: Details = {"name": wanted.name, "length": wanted.length_bytes}
        add_audit(session, "upload-created", subject=record.upload_id, actor=actor, now=now, details=details)
    return upload_of(record)


def _check_number(portal: Portal, session: Session, owner: Uploader) -> None:
    of_one, of_all = portal.settings.open_uploads_per_token, portal.settings.open_uploads
    if uploads.count_open(session, owner=owner) >= of_one:
        whose, limit = "of this token or user", of_one
    elif uploads.count_open(session) >= of_all:
        whose, limit = "of all", of_all
    else:
        return
    message = f"{limit} uploads {whose} are open, and no more are taken: finish or delete one"
    raise Throttled("uploads-too-many", message, retry_after_s=60)


def _check_space(portal: Portal, session: Session, length_bytes: int, *, free_bytes: int) -> None:
    missing_bytes = missing_space_bytes(
        length_bytes,
        reserved_bytes=uploads.reserved_bytes(session),
        free_bytes=free_bytes,
        keep_bytes=portal.settings.free_bytes,
    )
    if missing_bytes:
        message = (
            f"an upload of {length_bytes} bytes does not fit on the portal's disk, beside what other uploads "
            f"may still need: {missing_bytes} bytes are missing; make room, then upload again"
        )
        raise TryLater("disk-full", message, retry_after_s=60)
