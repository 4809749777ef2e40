"""Tokens with which engines join, with uses and expiry, and how often somebody guessed at them.

Only hashes are stored: who reads the database cannot join. A token has 160 random bits, so a
plain SHA-256 is enough: there is nothing to guess and so nothing to slow down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import EnrolTokenRow, ThrottleRow


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolTokenRecord:
    """A token engines join with."""

    token_id: str
    token_hash: str
    group: str
    uses_left: int
    expires: datetime
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Failed guesses of one source."""

    source: str
    failures: int
    failed: datetime
    wait_until: datetime


def add_enrol_token(session: Session, record: EnrolTokenRecord) -> None:
    """Write a new enrolment token."""
    session.add(
        EnrolTokenRow(
            id=record.token_id,
            token_hash=record.token_hash,
            group=record.group,
            uses_left=record.uses_left,
            expires=record.expires,
            created=record.created,
        )
    )


def find_enrol_token(session: Session, token_hash: str) -> EnrolTokenRecord | None:
    """The enrolment token with this hash."""
    row = session.scalar(select(EnrolTokenRow).where(EnrolTokenRow.token_hash == token_hash))
    if row is None:
        return None
    return EnrolTokenRecord(
        token_id=row.id,
        token_hash=row.token_hash,
        group=row.group,
        uses_left=row.uses_left,
        expires=row.expires,
        created=row.created,
    )


def consume_enrol_token(session: Session, token_hash: str, *, now: datetime) -> bool:
    """Take one use of a token that still has one and has not expired: one guarded UPDATE."""
    statement = (
        update(EnrolTokenRow)
        .where(
            EnrolTokenRow.token_hash == token_hash, EnrolTokenRow.uses_left > 0, EnrolTokenRow.expires > now
        )
        .values(uses_left=EnrolTokenRow.uses_left - 1)
    )
    return changed_rows(session, statement) == 1


def find_throttle(session: Session, source: str) -> Throttle | None:
    """The failed guesses of *source*."""
    return _throttle(session.get(ThrottleRow, source))


def lock_throttle(session: Session, source: str) -> Throttle | None:
    """The failed guesses of *source*, held until the transaction ends: no guess goes uncounted."""
    return _throttle(session.get(ThrottleRow, source, with_for_update=True))


def _throttle(row: ThrottleRow | None) -> Throttle | None:
    if row is None:
        return None
    return Throttle(source=row.source, failures=row.failures, failed=row.failed, wait_until=row.wait_until)


def write_throttle(session: Session, throttle: Throttle) -> None:
    """Write the failed guesses of a source."""
    row = session.get(ThrottleRow, throttle.source)
    if row is None:
        row = ThrottleRow(source=throttle.source)
        session.add(row)
    row.failures, row.failed, row.wait_until = throttle.failures, throttle.failed, throttle.wait_until


def forget_throttles(session: Session, *, before: datetime) -> None:
    """Forget sources whose last failed guess is older: the table does not grow for ever."""
    session.execute(
        delete(ThrottleRow).where(ThrottleRow.failed < before),
        execution_options={"synchronize_session": False},
    )
