"""Uploads: how far each is, who owns it, what became of it.

A state or an offset is changed by an UPDATE that names what it comes from. Whoever changes one also holds
the lock on the upload's file (``storage.incoming``); the guard is for the process that only thinks so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import UploadRow
from engineshed_server.domain.uploads import COMPLETE, CREATED, INGESTING, OPEN, WAITING, Uploader


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRecord:
    """One upload.

    Attributes:
        token_id, user_name: of the API token or the person that owns it; the other is None.
        address: where its first request came from.
        sent_metadata: the ``Upload-Metadata`` header as it came; ``name`` is what it calls the file.
        offset_bytes: so many bytes are durable.
        tries: how often a process began to take it in; not_before: when one may again.
        outcome: JSON, None before there is one.
    """

    upload_id: str
    token_id: str | None
    user_name: str | None
    address: str | None
    name: str
    sent_metadata: str
    length_bytes: int
    offset_bytes: int
    state: str
    tries: int
    not_before: datetime
    outcome: str | None
    created: datetime
    expires: datetime


_COPIED = tuple(name for name in UploadRecord.__dataclass_fields__ if name != "upload_id")


def _record(row: UploadRow) -> UploadRecord:
    return UploadRecord(upload_id=row.id, **{name: getattr(row, name) for name in _COPIED})


def add_upload(session: Session, record: UploadRecord) -> None:
    """Write a new upload."""
    session.add(UploadRow(id=record.upload_id, **{name: getattr(record, name) for name in _COPIED}))


def find_upload(session: Session, upload_id: str) -> UploadRecord | None:
    """The upload with that id."""
    row = session.get(UploadRow, upload_id)
    return None if row is None else _record(row)


def list_uploads(
    session: Session, *, owner: Uploader | None, limit: int, after: tuple[datetime, str] | None
) -> tuple[UploadRecord, ...]:
    """At most *limit* uploads of one owner, of all when None, the newest first.

    Args:
        after: ``created`` and id of the last one that was listed before.
    """
    statement = select(UploadRow).order_by(UploadRow.created.desc(), UploadRow.id.desc()).limit(limit)
    if owner is not None:
        statement = statement.where(_owned_by(owner))
    if after is not None:
        created, upload_id = after
        older = or_(UploadRow.created < created, and_(UploadRow.created == created, UploadRow.id < upload_id))
        statement = statement.where(older)
    return tuple(_record(row) for row in session.scalars(statement))


def _owned_by(owner: Uploader) -> ColumnElement[bool]:
    if owner.token_id is not None:
        return UploadRow.token_id == owner.token_id
    return UploadRow.user_name == owner.user_name


def count_open(session: Session, *, owner: Uploader | None = None) -> int:
    """How many uploads of one owner, of all when None, are not final."""
    statement = select(func.count()).select_from(UploadRow).where(UploadRow.state.in_(OPEN))
    if owner is not None:
        statement = statement.where(_owned_by(owner))
    return session.scalar(statement) or 0


def reserved_bytes(session: Session) -> int:
    """How much disk the open uploads may still ask for, by the rule of ``domain.uploads``."""
    total = session.scalar(
        select(func.sum(2 * UploadRow.length_bytes - UploadRow.offset_bytes)).where(UploadRow.state.in_(OPEN))
    )
    return int(total or 0)


def move_offset(
    session: Session, record: UploadRecord, *, to_bytes: int, now: datetime, expires: datetime
) -> bool:
    """Count the bytes up to *to_bytes*; with the last one the upload is complete, and waits from *now* on.

    False when it is not where *record* says.
    """
    complete = to_bytes == record.length_bytes
    statement = (
        update(UploadRow)
        .where(
            UploadRow.id == record.upload_id,
            UploadRow.state == CREATED,
            UploadRow.offset_bytes == record.offset_bytes,
        )
        .values(
            offset_bytes=to_bytes,
            expires=expires,
            **({"state": COMPLETE, "not_before": now} if complete else {}),
        )
    )
    return changed_rows(session, statement) == 1


def claim_upload(session: Session, record: UploadRecord, *, not_before: datetime) -> bool:
    """Begin to take it in; false when another process did since *record* was read.

    Should this process die, another one may begin at *not_before*.
    """
    statement = (
        update(UploadRow)
        .where(*_as_read(record), UploadRow.state.in_(WAITING))
        .values(state=INGESTING, tries=record.tries + 1, not_before=not_before)
    )
    return changed_rows(session, statement) == 1


def put_back_upload(session: Session, record: UploadRecord, *, outcome: str, not_before: datetime) -> bool:
    """Let a claimed upload wait until *not_before*; *outcome* says for what.

    *record* is as before the claim.
    """
    statement = (
        update(UploadRow)
        .where(*_claimed(record))
        .values(state=COMPLETE, tries=record.tries, outcome=outcome, not_before=not_before)
    )
    return changed_rows(session, statement) == 1


def finish_upload(
    session: Session, record: UploadRecord, *, state: str, outcome: str, expires: datetime
) -> bool:
    """Write down what became of a claimed upload. *record* is as before the claim."""
    statement = (
        update(UploadRow)
        .where(*_claimed(record))
        .values(state=state, outcome=outcome, expires=expires, offset_bytes=UploadRow.length_bytes)
    )
    return changed_rows(session, statement) == 1


def _as_read(record: UploadRecord) -> tuple[ColumnElement[bool], ...]:
    return UploadRow.id == record.upload_id, UploadRow.tries == record.tries


def _claimed(record: UploadRecord) -> tuple[ColumnElement[bool], ...]:
    return (
        UploadRow.id == record.upload_id,
        UploadRow.tries == record.tries + 1,
        UploadRow.state == INGESTING,
    )


def delete_upload(session: Session, upload_id: str) -> None:
    """Forget an upload; the audit tells of it."""
    session.execute(
        delete(UploadRow).where(UploadRow.id == upload_id), execution_options={"synchronize_session": False}
    )


def list_waiting(session: Session, *, now: datetime) -> tuple[UploadRecord, ...]:
    """Complete uploads that may be taken in now, the oldest first."""
    rows = session.scalars(
        select(UploadRow)
        .where(UploadRow.state.in_(WAITING), UploadRow.not_before <= now)
        .order_by(UploadRow.created, UploadRow.id)
    )
    return tuple(_record(row) for row in rows)


def list_open_ids(session: Session) -> frozenset[str]:
    """The ids of the uploads that are not final."""
    return frozenset(session.scalars(select(UploadRow.id).where(UploadRow.state.in_(OPEN))))


def list_expired(session: Session, *, now: datetime) -> tuple[UploadRecord, ...]:
    """Uploads whose time is over; one that is being taken in has no end but its own."""
    expired = select(UploadRow).where(UploadRow.expires <= now, UploadRow.state != INGESTING)
    return tuple(_record(row) for row in session.scalars(expired))
