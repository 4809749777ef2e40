"""Throw-away databases for the tests: SQLite, PostgreSQL and MariaDB, each test on each.

    store = open_store(DatabaseKind.MARIADB, folder)    # one per kind and test process
    url = store.take()                                  # empty, at the newest schema
    store.give_back(url)                                # emptied and lent again
    store.close()                                       # dropped

Tests use the fixtures of ``tests/server/conftest.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path

import pytest
import sqlalchemy as sa

from engineshed_server.db.database import Database
from tests.conftest import require
from tests.server.databases.mariadb import MariaDbStore
from tests.server.databases.postgres import PostgresStore
from tests.server.databases.sqlite import SqliteStore
from tests.server.databases.store import DatabaseStore

POSTGRES_URL = "ENGINESHED_TEST_POSTGRES_URL"
MARIADB_URL = "ENGINESHED_TEST_MARIADB_URL"
# No TLS on loopback: pymysql reads the system's CAs for each connection, which takes 25 ms.
DEFAULT_URLS = {
    POSTGRES_URL: "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
    MARIADB_URL: "mariadb+pymysql://root@127.0.0.1:3306/?ssl_disabled=true",
}

# What the fixtures `new_database` and `database_away` give.
NewDatabase = Callable[[], str]
DatabaseAway = Callable[[Database], AbstractContextManager[None]]


class DatabaseKind(StrEnum):
    """What the server's code runs on."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MARIADB = "mariadb"


# For a test of what a file in our own process does not have: users, connections, somebody who hangs.
ON_SERVERS = pytest.mark.parametrize("database_kind", [DatabaseKind.POSTGRESQL, DatabaseKind.MARIADB])


def server_url(variable: str) -> str:
    """Where the tests may make databases and users, as one who may."""
    return os.environ.get(variable) or DEFAULT_URLS[variable]


def open_store(kind: DatabaseKind, folder: Path) -> DatabaseStore:
    """The store of *kind*; skips the test when there is no such server (fails under ``REQUIRE_ALL=1``)."""
    if kind is DatabaseKind.SQLITE:
        return SqliteStore(folder)
    variable = POSTGRES_URL if kind is DatabaseKind.POSTGRESQL else MARIADB_URL
    made = PostgresStore if kind is DatabaseKind.POSTGRESQL else MariaDbStore
    try:
        return made(folder, url=server_url(variable))
    except sa.exc.OperationalError as err:
        shown = sa.make_url(server_url(variable)).render_as_string()
        require(False, f"no {kind} at {shown}, set {variable}: {str(err.orig).strip()[:200]}")
        raise


def everything_in(database: Database) -> str:
    """All values of all rows as one text, to look for what must not be stored."""
    with database.connection() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        return "\n".join(
            str(row) for table in tables.sorted_tables for row in connection.execute(table.select())
        )
