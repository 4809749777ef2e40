"""Changes that no other transaction can undo unseen.

Two ways, and no third: an UPDATE that names the state it comes from and says how many rows it found there; or
a row that is read *locked*, decided upon, and changed. A row that was read without a lock and is changed
through the session is refused, on every database: on PostgreSQL and MariaDB it would lose what another
transaction wrote in between.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import CursorResult, Delete, Update, event, inspect
from sqlalchemy.orm import Session

Row = TypeVar("Row")
# What the session knows: locked rows by identity. The session itself forgets rows that nobody holds.
_LOCKED = "engineshed_locked"


class WritingSession(Session):
    """The session of a writing transaction."""


def changed_rows(session: Session, statement: Update | Delete) -> int:
    """Carry out *statement* and return how many rows its WHERE found.

    0 means that somebody else changed the state first, or that the row is not there.
    """
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)  # what both give; the signature says only Result
    return int(result.rowcount)


def locked(session: Session, row: type[Row], key: object) -> Row | None:
    """The row with that primary key as it is now, held until the transaction ends.

    SQLite knows no row locks and needs none: its writing transaction already excludes all others.
    """
    found = session.get(row, key, with_for_update=True, populate_existing=True)
    if found is not None:
        session.info.setdefault(_LOCKED, {})[_identity(found)] = found
    return found


def held(session: Session, row: type[Row], key: object) -> Row | None:
    """The row with that primary key, when this transaction has locked it; without a query."""
    found: Row | None = session.info.get(_LOCKED, {}).get(inspect(row).identity_key_from_primary_key((key,)))
    return found


def forget_locked(session: Session) -> None:
    """Count on no lock any more: PostgreSQL gives back those of a part of a transaction that was undone."""
    session.info.pop(_LOCKED, None)


@event.listens_for(WritingSession, "before_flush")
def _refuse_unlocked(session: Session, *_arguments: object) -> None:
    for row in session.dirty:
        if session.is_modified(row) and _identity(row) not in session.info.get(_LOCKED, ()):
            raise AssertionError(f"{_identity(row)} is changed without a lock: read it with guard.locked")


def _identity(row: Any) -> object:  # of any table
    return inspect(row).identity_key
