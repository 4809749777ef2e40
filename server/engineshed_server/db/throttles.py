"""How often a source has guessed wrong, and until when its next wrong answer waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows, held, locked
from engineshed_server.db.models import ThrottleRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Failed guesses of one source."""

    source: str
    failures: int
    failed: datetime
    wait_until: datetime


def find_throttle(session: Session, source: str) -> Throttle | None:
    """The failed guesses of *source*."""
    return _throttle(session.get(ThrottleRow, source))


def lock_throttle(session: Session, source: str) -> Throttle | None:
    """The failed guesses of *source*, held until the transaction ends: no guess goes uncounted.

    What is not there cannot be held: who adds a row second is told so by its key.
    """
    return _throttle(locked(session, ThrottleRow, source))


def _throttle(row: ThrottleRow | None) -> Throttle | None:
    if row is None:
        return None
    return Throttle(source=row.source, failures=row.failures, failed=row.failed, wait_until=row.wait_until)


def write_throttle(session: Session, throttle: Throttle) -> None:
    """Write the failed guesses of a source that was locked, or was not there to be locked."""
    row = held(session, ThrottleRow, throttle.source)
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


def forget_throttle(session: Session, source: str) -> None:
    """Forget one source: it has shown that it knows."""
    changed_rows(session, delete(ThrottleRow).where(ThrottleRow.source == source))
