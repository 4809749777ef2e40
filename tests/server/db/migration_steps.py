"""Moving a database through its revisions, with a row in every table, as a portal in use has."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from engineshed_server.db import schema
from engineshed_server.db.database import Database
from engineshed_server.db.migrating import migrating

BASE = "base"
VERSION_TABLE = "alembic_version"


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS).replace("%", "%%"))
    config.attributes[schema.CONNECTION] = connection
    return config


def revisions() -> list[str]:
    """All, the oldest first."""
    known = ScriptDirectory.from_config(_config()).walk_revisions()
    return [script.revision for script in known][::-1]


def move(database: Database, revision: str) -> None:
    """Up or down to *revision*."""
    with migrating(database.url) as connection:
        config = _config(connection)
        found = schema.find_revision(database) or BASE
        order = [BASE, *revisions()]
        go = command.upgrade if order.index(revision) > order.index(found) else command.downgrade
        go(config, revision)


def tables_of(database: Database) -> list[sa.Table]:
    """All but alembic's own, those that others point to first."""
    tables = sa.MetaData()
    with database.connection() as connection:
        tables.reflect(connection)
    return [table for table in tables.sorted_tables if table.name != VERSION_TABLE]


def fill(database: Database) -> None:
    """A row in each table that has none; it points to the rows of the others."""
    with database.write() as session:
        for table in tables_of(database):
            if session.execute(sa.select(table).limit(1)).first() is None:
                session.execute(table.insert().values(_row(table)))


def count(database: Database) -> dict[str, int]:
    """Rows by table."""
    with database.read() as session:
        return {
            table.name: session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in tables_of(database)
        }


def _row(table: sa.Table) -> dict[str, object]:
    return {column.name: _value(column) for column in table.columns}


def _value(column: sa.Column[object]) -> object:
    # One value for each type: what points to another table's key so has its value.
    kind = column.type
    if isinstance(kind, sa.String):
        return "x"
    if isinstance(kind, sa.DateTime):
        return datetime(2026, 11, 24, tzinfo=UTC if kind.timezone else None)
    if isinstance(kind, sa.Boolean):
        return False
    assert isinstance(kind, sa.Integer), f"{column}: {kind!r}"
    return 1
