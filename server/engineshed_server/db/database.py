"""One database: opening it, and the two kinds of transaction.

    with database.write() as session:   # all or nothing; BEGIN IMMEDIATE on SQLite
        ...
    with database.read() as session:    # one consistent picture; always rolled back

SQLite loses updates silently when Python's driver opens transactions by itself (measured: 279 of 800
updates survived): the driver is put into autocommit, and we say BEGIN. Writers say BEGIN IMMEDIATE, so
that the lock is taken before the first read; readers say plain BEGIN, so that they never wait.

Only errors of ``engineshed_server.errors`` come out: ``Raced`` when a unique row was taken first,
``TryLater`` when the database is locked or away,
``SetupRefused`` when its file is damaged. Anything else is a bug and is not disguised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.orm import Session

from engineshed_server.errors import Raced, SetupRefused, TryLater

__all__ = ["Database", "Session"]  # services name the Session they are handed, and nothing else of SQLAlchemy

BUSY_TIMEOUT_MS = 15_000  # a bundle's transaction takes milliseconds; a checkpoint on a slow disk, seconds
_BEGIN = "engineshed_begin"  # execution option: how SQLite opens the transaction


class Database:
    """A connection pool and its transactions; made after a fork, never before.

    Args:
        url: SQLAlchemy URL that names its driver.

    Raises:
        SetupRefused: code ``database-url``.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            self.engine: Engine = create_engine(
                parsed, pool_pre_ping=not parsed.drivername.startswith("sqlite")
            )
        except (ArgumentError, ImportError, ValueError) as err:
            raise SetupRefused("database-url", f"the database URL cannot be used: {err}") from err
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        # PostgreSQL shows each statement another picture unless told; MariaDB and SQLite show one.
        repeatable = (
            {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        )
        self._reading = self.engine.execution_options(**repeatable)
        self._writing = self.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    def create_file(self) -> None:
        """Create SQLite's file for its owner alone, unless it exists; other databases have none.

        The files SQLite puts beside it get the same mode.

        Raises:
            SetupRefused: code ``setup-folder``.
        """
        name = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not name or name == ":memory:":
            return
        try:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as err:
            raise SetupRefused("setup-folder", f"{name}: {err.strerror}; expected a file to write") from err

    def check_file(self) -> None:
        """Return when SQLite's file can be opened, or is not there yet; other databases have none.

        Raises:
            SetupRefused: code ``database-unreadable``.
        """
        name = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not name or not os.path.exists(name):
            return
        if not os.path.isfile(name) or not os.access(name, os.R_OK | os.W_OK):
            message = f"{name} cannot be opened: expected a file that this user may read and write"
            raise SetupRefused("database-unreadable", message)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits when the block ends well, and leaves nothing when it raises.

        Raises:
            Raced: a unique constraint was taken by another transaction; nothing was written.
            TryLater: code ``database-unavailable``.
        """
        with _boundary(), Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads; whatever happens in it is rolled back.

        Raises:
            TryLater: code ``database-unavailable``.
        """
        with _boundary(), Session(self._reading, autoflush=False) as session:
            yield session

    def within(self, session: Session) -> Database:
        """The same database, seen from within the writing transaction of *session*.

        What is written by it is committed, or rolled back, with that transaction.
        """
        return _Joined(self, session)

    @contextmanager
    def writing_connection(self) -> Iterator[Connection]:
        """A plain connection in a writing transaction, for migrations; commits when the block ends well."""
        with _boundary(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A plain connection that only reads, to look at the schema."""
        with _boundary(), self.engine.connect() as connection:
            yield connection

    def ping(self) -> None:
        """Ask the database for one value.

        Raises:
            TryLater: code ``database-unavailable``.
        """
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


class _Joined(Database):
    """A database whose transactions are parts of one that is open already."""

    def __init__(self, database: Database, session: Session) -> None:
        self.engine = database.engine
        self._session = session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A part of the transaction that is undone alone when the block raises."""
        with _boundary():
            self._look_anew()
            with self._session.begin_nested():
                yield self._session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A look at what the transaction sees, its own changes too."""
        with _boundary():
            self._look_anew()
            yield self._session

    def _look_anew(self) -> None:
        """Forget rows read before, as a session of its own would not know them: UPDATEs do not touch them."""
        self._session.flush()
        self._session.expire_all()


# What databases say when two transactions stood in each other's way and one was ended: SQLSTATE of PostgreSQL
# (serialization failure, deadlock), error numbers of MariaDB (deadlock, lock wait timeout).
_LOST_STATES = frozenset({"40001", "40P01"})
_DAMAGED = frozenset({"SQLITE_NOTADB", "SQLITE_CORRUPT"})  # it does not heal by waiting
_LOST_NUMBERS = frozenset({1213, 1205})


def _lost_a_race(err: DBAPIError) -> bool:
    if isinstance(err, IntegrityError):
        return True
    number = err.orig.args[0] if err.orig is not None and err.orig.args else None
    return getattr(err.orig, "sqlstate", None) in _LOST_STATES or number in _LOST_NUMBERS


@contextmanager
def _boundary() -> Iterator[None]:
    try:
        yield
    except (IntegrityError, OperationalError, InterfaceError) as err:
        if _lost_a_race(err):
            message = "another transaction took the same row first; nothing was written, try again"
            raise Raced("database-raced", message, retry_after_s=1) from err
        message = f"the database does not answer: {str(err.orig)[:200]}; nothing was written"
        raise TryLater("database-unavailable", message) from err
    except DatabaseError as err:
        if getattr(err.orig, "sqlite_errorname", "") not in _DAMAGED:
            raise
        message = f"the database's file is damaged: {str(err.orig)[:200]}; restore a backup"
        raise SetupRefused("database-damaged", message) from err


# The driver's connection has no common type: Any is what SQLAlchemy hands out.
def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
        "PRAGMA journal_mode = WAL",
        # A row must not be lost in a power cut: its files are already on disk and engines may have it.
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
    ):
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
