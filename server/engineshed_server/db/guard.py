"""Guarded changes: an UPDATE that names the state it comes from, and how many rows it found there."""

from __future__ import annotations

from sqlalchemy import CursorResult, Update
from sqlalchemy.orm import Session


def changed_rows(session: Session, statement: Update) -> int:
    """Carry out *statement* and return how many rows its WHERE found.

    0 means that somebody else changed the state first, or that the row is not there.
    """
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)  # what an UPDATE gives; the signature says only Result
    return int(result.rowcount)
