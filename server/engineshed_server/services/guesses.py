"""Wrong answers of one source, counted in the database so that all processes count together.

The first ones are free: a person who pastes badly is not punished. Then each costs a wait that doubles. An
hour without any forgets them; their rows are removed now and then, apart from all guesses. An IPv6 host is
counted by its /64: it has all of it to choose from.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from engineshed_server.db import throttles
from engineshed_server.db.database import Database, Session
from engineshed_server.services.networks import counted_as

FREE_FAILURES = 5
MAX_WAIT_S = 900
FORGET_AFTER = timedelta(hours=1)  # without a failure in between, the count starts anew
_MAX_SOURCE_CHARS = 200


def source_of(what: str, address: str) -> str:
    """Under which name a wrong answer from *address* is counted, as ``enrol:192.0.2.7``."""
    return f"{what}:{counted_as(address)}"[:_MAX_SOURCE_CHARS]


def wait_left_s(session: Session, source: str, *, now: datetime) -> int:
    """Whole seconds *source* has to wait before its next wrong answer is looked at; 0 when it need not."""
    throttle = throttles.find_throttle(session, source)
    if throttle is None or throttle.wait_until <= now:
        return 0
    return int((throttle.wait_until - now).total_seconds()) + 1


def count_failure(session: Session, source: str, *, now: datetime) -> None:
    """Count a wrong answer of *source*."""
    before = throttles.lock_throttle(session, source)
    failures = 1 if before is None or before.failed < now - FORGET_AFTER else before.failures + 1
    # 0, 0, 0, 0, 0, 1, 2, 4, … seconds: a script is slowed down, a person is not.
    wait_s = 0 if failures <= FREE_FAILURES else min(2 ** min(failures - FREE_FAILURES - 1, 30), MAX_WAIT_S)
    throttle = throttles.Throttle(
        source=source, failures=failures, failed=now, wait_until=now + timedelta(seconds=wait_s)
    )
    throttles.write_throttle(session, throttle)


def forgive(session: Session, source: str) -> None:
    """Forget the wrong answers of *source*: it has given the right one."""
    throttles.forget_throttle(session, source)


def forget_failures(database: Database, *, now: datetime) -> None:
    """Remove what does not count any more: the table does not grow for ever."""
    with database.write() as session:
        throttles.forget_throttles(session, before=now - FORGET_AFTER)
