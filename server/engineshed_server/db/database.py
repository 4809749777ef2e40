"""One database: opening it, and the two kinds of transaction.

    with database.write() as session:   # all or nothing
        ...
    with database.read() as session:    # one consistent picture; the database refuses to write in it

On every database, what a writing transaction decides upon must not change until it ends (docs/databases.md):

- SQLite has one writer at a time. Its driver would open transactions by itself and lose updates silently
  (measured: 279 of 800 survived): it is put into autocommit, and we say BEGIN. Writers say BEGIN IMMEDIATE,
  so that the lock is taken before the first read; readers say plain BEGIN, so that they never wait.
- On PostgreSQL and MariaDB writers run beside each other, READ COMMITTED: a guarded UPDATE waits for the
  other transaction and then looks again. Who reads first and writes what follows from it locks what it
  reads (``guard.locked``, ``engines.lock_engine``).

Only errors of ``engineshed_server.errors`` come out: ``Raced`` when another transaction was faster,
``TryLater`` when the database is busy, full or away, ``SetupRefused`` when its file is damaged or its user
lacks a right. Anything else is a bug and is not disguised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from engineshed_server.db.connecting import MARIADB, OF_SESSIONS, POSTGRESQL, SQLITE, Patience, open_engine
from engineshed_server.db.failures import MAYBE_WRITTEN, boundary, has_ended_the_transaction, is_refused_write
from engineshed_server.db.guard import WritingSession, forget_locked
from engineshed_server.errors import SetupRefused, TryLater

__all__ = ["Database", "Session"]  # services name the Session they are handed, and nothing else of SQLAlchemy

DEFAULT_CONNECTIONS = 10
_BEGIN = "engineshed_begin"  # execution option: what opens the transaction
_READING: dict[str, dict[str, object]] = {
    SQLITE: {_BEGIN: ("PRAGMA query_only = ON", "BEGIN")},
    # One picture for all statements, not one for each.
    POSTGRESQL: {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    MARIADB: {_BEGIN: ("START TRANSACTION READ ONLY",)},
}
_VERSIONS = {
    SQLITE: ("SQLite", "SELECT sqlite_version()"),
    POSTGRESQL: ("PostgreSQL", "SELECT current_setting('server_version')"),
    MARIADB: ("MariaDB", "SELECT version()"),
}
_WRITING: dict[str, dict[str, object]] = {
    SQLITE: {_BEGIN: ("PRAGMA query_only = OFF", "BEGIN IMMEDIATE")},
    POSTGRESQL: {"isolation_level": "READ COMMITTED", "postgresql_readonly": False},
    MARIADB: {_BEGIN: ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION")},
}


class Database:
    """A connection pool and its transactions; made after a fork, never before.

    Args:
        url: SQLAlchemy URL that names its driver.
        connections: at most so many at once; who needs one more waits.
        patience: how long statements may wait and take.

    Raises:
        SetupRefused: code ``database-url``.
    """

    def __init__(
        self, url: str, *, connections: int = DEFAULT_CONNECTIONS, patience: Patience = OF_SESSIONS
    ) -> None:
        self.url = url
        self.engine: Engine = open_engine(url, connections=connections, patience=patience)
        event.listen(self.engine, "begin", _begin)
        name = self.engine.dialect.name
        self._reading = self.engine.execution_options(**_READING[name])
        self._writing = self.engine.execution_options(**_WRITING[name])

    def create_file(self) -> None:
        """Create SQLite's file for its owner alone, unless it exists; other databases have none.

        The files SQLite puts beside it get the same mode.

        Raises:
            SetupRefused: code ``setup-folder``.
        """
        name = self.engine.url.database
        if self.engine.dialect.name != SQLITE or not name or name == ":memory:":
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
        if self.engine.dialect.name != SQLITE or not name or not os.path.exists(name):
            return
        if not os.path.isfile(name) or not os.access(name, os.R_OK | os.W_OK):
            message = f"{name} cannot be opened: expected a file that this user may read and write"
            raise SetupRefused("database-unreadable", message)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits when the block ends well, and leaves nothing when it raises.

        Raises:
            Raced: another transaction was faster; nothing was written.
            TryLater: ``database-unavailable``, ``database-busy``, ``disk-full``: nothing was written;
                ``database-lost``: the connection was lost in the very commit.
        """
        with boundary(), WritingSession(self._writing, expire_on_commit=False) as session:
            yield session
            session.flush()
            with boundary(outcome=MAYBE_WRITTEN):
                session.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads.

        Raises:
            TryLater: ``database-unavailable`` or ``database-busy``.
        """
        with boundary(), Session(self._reading, autoflush=False) as session:
            try:
                yield session
            except DBAPIError as err:
                if is_refused_write(err):
                    raise AssertionError("a reading transaction was asked to write") from err
                raise

    def within(self, session: Session) -> Database:
        """The same database, seen from within the writing transaction of *session*.

        What is written by it is committed, or rolled back, with that transaction.
        """
        return _Joined(self, session)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A plain connection that only reads, to look at the schema."""
        with boundary(), self._reading.connect() as connection:
            yield connection

    def version(self) -> str:
        """What the database calls itself, as ``SQLite 3.40.1``.

        Raises:
            TryLater: code ``database-unavailable``.
        """
        name, asked = _VERSIONS[self.engine.dialect.name]
        with self.read() as session:
            return f"{name} {session.scalar(text(asked))}"

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
        self.url = database.url
        self.engine = database.engine
        self._session = session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A part of the transaction that is undone alone when the block raises.

        Raises:
            Raced: this part may run again.
            TryLater: code ``database-raced``: MariaDB has undone the whole, of which this is a part.
        """
        with boundary():
            self._look_anew()
            try:
                with self._session.begin_nested():
                    yield self._session
            except DBAPIError as err:
                if has_ended_the_transaction(err):
                    message = "another transaction was faster; nothing was written, try again"
                    raise TryLater("database-raced", message, retry_after_s=1) from err
                raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A look at what the transaction sees, its own changes too."""
        with boundary():
            self._look_anew()
            yield self._session

    def _look_anew(self) -> None:
        """Forget rows read before, as a session of its own would not know them: UPDATEs do not touch them."""
        self._session.flush()
        self._session.expire_all()
        forget_locked(self._session)


def _begin(connection: Connection) -> None:
    unless_said = _READING[connection.dialect.name].get(_BEGIN, ())
    for statement in connection.get_execution_options().get(_BEGIN, unless_said):
        connection.exec_driver_sql(statement)
