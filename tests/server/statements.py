"""Counting what is asked of the database: how many statements, whatever is in the tables.

with counted(portal.database) as statements:
    browser.get("/engines")
assert len(statements) <= 4, statements
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, event

from engineshed_server.db.database import Database

_OF_TRANSACTIONS = ("BEGIN", "START", "SET", "PRAGMA", "COMMIT", "ROLLBACK")


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements sent within the block, one by one; those that open transactions are left out."""
    found: list[str] = []

    def note(connection: Connection, cursor: object, statement: str, *_arguments: object) -> None:
        if not statement.lstrip().upper().startswith(_OF_TRANSACTIONS):
            found.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
