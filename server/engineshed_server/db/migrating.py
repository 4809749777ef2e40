"""The transaction in which migrations run: alone, impatient, and safe to run again.

Two that migrate one database at once wait for each other. Who cannot have a table's lock within five
seconds gives up: everybody else who wants that table would queue up behind the one that waits.

SQLite and PostgreSQL take a failed migration back as a whole. MariaDB commits at each change of the schema:
what was done before the failure stays. There every statement says IF [NOT] EXISTS, so that running the
migration again goes on where it stopped; what a migration does to rows must bear being done twice, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event, text

from engineshed_server.db.connecting import MARIADB, OF_MIGRATIONS, POSTGRESQL, SQLITE, open_engine
from engineshed_server.db.failures import boundary
from engineshed_server.errors import TryLater

_LOCK_NUMBER = 0x656E67736864  # the advisory lock on PostgreSQL: any number that nobody else takes
_NOTHING_CHANGED = "nothing was changed"
_RUN_AGAIN = "what was done before stays: run `engineshed-server db upgrade` again, it goes on from there"

_NAME = r"(`[^`]+`|\w+)"
# Statements as alembic writes them, and how MariaDB is asked to bear them twice.
_REPEATABLE = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"^(\s*)CREATE TABLE (?!IF )", r"\1CREATE TABLE IF NOT EXISTS "),
        (r"^(\s*)DROP TABLE (?!IF )", r"\1DROP TABLE IF EXISTS "),
        (r"^(\s*CREATE (?:UNIQUE )?INDEX) (?!IF )", r"\1 IF NOT EXISTS "),
        (r"^(\s*)DROP INDEX (?!IF )", r"\1DROP INDEX IF EXISTS "),
        (rf"^(\s*ALTER TABLE {_NAME}) ADD COLUMN (?!IF )", r"\1 ADD COLUMN IF NOT EXISTS "),
        (rf"^(\s*ALTER TABLE {_NAME}) DROP COLUMN (?!IF )", r"\1 DROP COLUMN IF EXISTS "),
        (rf"^(\s*ALTER TABLE {_NAME}) CHANGE (?:COLUMN )?(?!IF )", r"\1 CHANGE COLUMN IF EXISTS "),
        (rf"^(\s*ALTER TABLE {_NAME}) DROP (FOREIGN KEY|CONSTRAINT|INDEX) (?!IF )", r"\1 DROP \3 IF EXISTS "),
        (
            rf"^(\s*ALTER TABLE {_NAME}) ADD CONSTRAINT {_NAME} FOREIGN KEY\s*\(",
            r"\1 ADD CONSTRAINT \3 FOREIGN KEY IF NOT EXISTS \3 (",
        ),
        (
            rf"^(\s*ALTER TABLE {_NAME}) ADD CONSTRAINT {_NAME} UNIQUE\s*\(",
            r"\1 ADD UNIQUE INDEX IF NOT EXISTS \3 (",
        ),
        (
            rf"^(\s*ALTER TABLE {_NAME}) ADD CONSTRAINT {_NAME} CHECK\s*\(",
            r"\1 ADD CONSTRAINT IF NOT EXISTS \3 CHECK (",
        ),
    )
)


def repeatable(statement: str) -> str:
    """The statement in the form that MariaDB bears twice; any other as it is."""
    for pattern, replacement in _REPEATABLE:
        statement, count = pattern.subn(replacement, statement, count=1)
        if count:
            break
    return statement


@contextmanager
def migrating(url: str) -> Iterator[Connection]:
    """A connection on which alembic may run; commits when the block ends well.

    Raises:
        TryLater: ``database-unavailable``, or ``database-busy``: somebody else migrates, or holds a lock.
        SetupRefused: code ``database-denied``: the database's user may not change the schema.
    """
    engine = open_engine(url, connections=None, patience=OF_MIGRATIONS)
    name = engine.dialect.name
    if name == SQLITE:
        event.listen(engine, "begin", _begin_sqlite)
    elif name == MARIADB:
        event.listen(engine, "before_cursor_execute", _make_repeatable, retval=True)
    try:
        with boundary(outcome=_RUN_AGAIN if name == MARIADB else _NOTHING_CHANGED):
            yield from _transaction(engine)
    finally:
        engine.dispose()


def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        if engine.dialect.name == POSTGRESQL:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
        elif engine.dialect.name == MARIADB:
            _lock_mariadb(connection)
        yield connection
        if engine.dialect.name == SQLITE:
            _check_sqlite(connection)


def _begin_sqlite(connection: Connection) -> None:
    # SQLite alters a table by making another in its place: rows that point to the old one must not mind. It
    # takes no word on foreign keys within a transaction.
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check_sqlite(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise AssertionError(f"the migration breaks foreign keys: {broken[:3]}")


def _lock_mariadb(connection: Connection) -> None:
    # It is the server's: other databases there have one of their own.
    query = text("SELECT GET_LOCK(LEFT(CONCAT('engineshed ', DATABASE()), 64), :wait_s)")
    if connection.scalar(query, {"wait_s": OF_MIGRATIONS.lock_s}) != 1:
        message = "the database is being migrated by somebody else; nothing was changed, try again"
        raise TryLater("database-busy", message)


# SQLAlchemy's event: the driver's cursor and parameters have no common type.
def _make_repeatable(
    _connection: object, _cursor: object, statement: str, parameters: object, *_more: object
) -> tuple[str, object]:
    return repeatable(statement), parameters
