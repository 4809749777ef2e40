"""Counts the SQL statements a block runs, in whatever thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from engineshed_server.db.database import Database


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that *database* was sent, BEGIN included."""
    statements: list[str] = []

    # SQLAlchemy calls it with arguments whose types are the driver's.
    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
