"""What the databases' errors mean to a caller: lost a race, busy, away, full, damaged, or our bug.

Each database says it in its own way: PostgreSQL by SQLSTATE, MariaDB by number, SQLite by name. Whatever is
in no table here is a bug of ours and goes on as it is; what remains of the drivers' *operational* errors is
a database that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from engineshed_server.db.connecting import POOL_WAIT_S
from engineshed_server.errors import Raced, ServerError, SetupRefused, TryLater

NOTHING_WRITTEN = "nothing was written"
MAYBE_WRITTEN = "whether the change was written is not known: look before you try again"
_RETRY_BUSY_S = 5
_RETRY_FULL_S = 60
_SHOWN_CHARS = 200


class Failure(Enum):
    """What has happened."""

    RACED = "another transaction took the same row first"
    BUSY = "another transaction holds what this one needs, or a statement takes too long"
    AWAY = "the database does not answer"
    FULL = "no space is left for the database"
    DAMAGED = "the database's file is damaged"
    DENIED = "the database's user may not do this"
    BUG = "nobody foresaw it"


_FAILURES: dict[str | int, Failure] = {
    # PostgreSQL: serialization failure, deadlock; unique, foreign key, exclusion
    **dict.fromkeys(("40001", "40P01", "23505", "23503", "23P01"), Failure.RACED),
    # lock timeout, statement timeout
    **dict.fromkeys(("55P03", "57014"), Failure.BUSY),
    # a standby, before it has been told that it is the primary now
    "25006": Failure.AWAY,
    "53100": Failure.FULL,
    "42501": Failure.DENIED,
    # MariaDB: deadlock, changed since it was read; duplicate key, foreign key of a parent and of a child
    **dict.fromkeys((1213, 1020, 1062, 1451, 1452), Failure.RACED),
    # lock wait timeout, statement timeout
    **dict.fromkeys((1205, 1969), Failure.BUSY),
    **dict.fromkeys((1021, 1114), Failure.FULL),
    # the database, a command, a privilege
    **dict.fromkeys((1044, 1142, 1227), Failure.DENIED),
    # SQLite
    **dict.fromkeys(
        ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_FOREIGNKEY"),
        Failure.RACED,
    ),
    **dict.fromkeys(("SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED"), Failure.BUSY),
    "SQLITE_FULL": Failure.FULL,
    **dict.fromkeys(("SQLITE_NOTADB", "SQLITE_CORRUPT"), Failure.DAMAGED),
}
# pymysql calls everything operational that it does not know. Of the server's own numbers these say that
# nobody can work there now: too many connections, unknown host, access denied, unknown database, shutting
# down, blocked host, network, limits of a user, read-only, interrupted, killed, locked account. From 2000 on
# they are the client's.
_MARIADB_AWAY = frozenset(
    {1040, 1042, 1045, 1049, 1053, 1129, *range(1156, 1162), 1203, 1226, 1290, 1317, 1698, 1836, 1927, 4151}
)

_TRANSACTION_ENDED: frozenset[str | int] = frozenset({1213, 1305})  # deadlock; no such savepoint
# What the three say to one who writes in a transaction that only reads.
_WRITE_REFUSED: frozenset[str | int] = frozenset({"25006", 1792, "SQLITE_READONLY"})


def failure_of(err: DBAPIError) -> Failure:
    """What *err* means."""
    for name in _said(err):
        if name in _FAILURES:
            return _FAILURES[name]
        if isinstance(name, int) and 1000 <= name < 2000 and name not in _MARIADB_AWAY:
            return Failure.BUG
    return Failure.AWAY if isinstance(err, OperationalError | InterfaceError) else Failure.BUG


def is_refused_write(err: DBAPIError) -> bool:
    """Whether the database would not write: in a reading transaction a bug of ours, else not."""
    return not _WRITE_REFUSED.isdisjoint(_said(err))


def has_ended_the_transaction(err: DBAPIError) -> bool:
    """Whether MariaDB has undone the whole transaction, the parts before the failed one, too.

    After a deadlock it has, and does not know the savepoint any more to which one wants to go back.
    """
    return not _TRANSACTION_ENDED.isdisjoint(_said(err))


def _said(err: DBAPIError) -> tuple[str | int, ...]:
    """How the driver names the error: SQLSTATE, number, SQLite's name; whichever it has."""
    number = err.orig.args[0] if err.orig is not None and err.orig.args else None
    named = (getattr(err.orig, "sqlstate", None), getattr(err.orig, "sqlite_errorname", None), number)
    return tuple(name for name in named if isinstance(name, str | int))


@contextmanager
def boundary(*, outcome: str = NOTHING_WRITTEN) -> Iterator[None]:
    """Let only errors of ours out, and bugs as they are.

    Args:
        outcome: a sentence's end that says what is in the database after an error.
    """
    try:
        yield
    except DBAPIError as err:
        said = _error_of(failure_of(err), err, outcome=outcome)
        if said is None:
            raise
        raise said from err
    except PoolTimeout as err:
        message = (
            f"all connections to the database have been in use for {POOL_WAIT_S} s; {outcome}, try again"
        )
        raise TryLater("database-busy", message, retry_after_s=_RETRY_BUSY_S) from err


def _error_of(failure: Failure, err: DBAPIError, *, outcome: str) -> ServerError | None:
    text = " ".join(str(err.orig).split())[:_SHOWN_CHARS]
    if failure is Failure.AWAY:
        if outcome == MAYBE_WRITTEN:
            return TryLater("database-lost", f"{failure.value}: {text}; {outcome}")
        return TryLater("database-unavailable", f"{failure.value}: {text}; {outcome}")
    if outcome == MAYBE_WRITTEN:
        outcome = NOTHING_WRITTEN  # the database refused the commit in so many words
    if failure is Failure.RACED:
        return Raced("database-raced", f"{failure.value}; {outcome}, try again", retry_after_s=1)
    if failure is Failure.BUSY:
        message = f"the database is busy: {failure.value} ({text}); {outcome}, try again"
        return TryLater("database-busy", message, retry_after_s=_RETRY_BUSY_S)
    if failure is Failure.FULL:
        message = f"{failure.value}: {text}; {outcome}; make room and try again"
        return TryLater("disk-full", message, retry_after_s=_RETRY_FULL_S)
    if failure is Failure.DAMAGED:
        return SetupRefused("database-damaged", f"{failure.value}: {text}; restore a backup")
    if failure is Failure.DENIED:
        message = f"{failure.value}: {text}; grant what docs/databases.md names"
        return SetupRefused("database-denied", message)
    return None
