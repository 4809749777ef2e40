"""Requests that carry an Idempotency-Key: who claimed the key for which request, and what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Update, delete, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import IdempotencyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One key of one owner.

    Attributes:
        attempt: drawn anew by each run of the request; only the run that holds it may write the answer.
        claimed: when that run began. sealed: the answer, None while the request is being carried out.
    """

    owner: str
    key_hash: str
    request_hash: str
    attempt: str
    claimed: datetime
    sealed: str | None


def add_key(session: Session, record: KeyRecord) -> None:
    """Write a key nobody has claimed."""
    session.add(
        IdempotencyRow(
            owner=record.owner,
            key_hash=record.key_hash,
            request_hash=record.request_hash,
            attempt=record.attempt,
            claimed=record.claimed,
            sealed=record.sealed,
        )
    )


def lock_key(session: Session, owner: str, key_hash: str) -> KeyRecord | None:
    """The key, held until the transaction ends; None when nobody has claimed it."""
    query = (
        select(IdempotencyRow)
        .where(IdempotencyRow.owner == owner, IdempotencyRow.key_hash == key_hash)
        .with_for_update()
    )
    row = session.scalar(query)
    if row is None:
        return None
    return KeyRecord(
        owner=row.owner,
        key_hash=row.key_hash,
        request_hash=row.request_hash,
        attempt=row.attempt,
        claimed=row.claimed,
        sealed=row.sealed,
    )


def take_over_key(session: Session, record: KeyRecord, *, attempt: str, now: datetime) -> bool:
    """Give the key of a run that was lost to another; false when somebody was faster."""
    statement = _of(record).values(attempt=attempt, claimed=now)
    return changed_rows(session, statement) == 1


def write_answer(session: Session, record: KeyRecord, *, sealed: str) -> bool:
    """Keep the answer; false when the run does not hold the key any more."""
    return changed_rows(session, _of(record).values(sealed=sealed)) == 1


def free_key(session: Session, record: KeyRecord) -> None:
    """Forget a key whose request changed nothing, if the run still holds it."""
    session.execute(
        delete(IdempotencyRow).where(
            IdempotencyRow.owner == record.owner,
            IdempotencyRow.key_hash == record.key_hash,
            IdempotencyRow.attempt == record.attempt,
            IdempotencyRow.sealed.is_(None),
        ),
        execution_options={"synchronize_session": False},
    )


def forget_keys(session: Session, *, before: datetime) -> None:
    """Forget what was claimed before that time."""
    session.execute(
        delete(IdempotencyRow).where(IdempotencyRow.claimed < before),
        execution_options={"synchronize_session": False},
    )


def _of(record: KeyRecord) -> Update:
    return update(IdempotencyRow).where(
        IdempotencyRow.owner == record.owner,
        IdempotencyRow.key_hash == record.key_hash,
        IdempotencyRow.attempt == record.attempt,
        IdempotencyRow.sealed.is_(None),
    )
