"""Throw-away databases on a server that runs anyway, and a user of their own.

A migration costs more than most tests: a database is migrated once in a test process and emptied between
tests. One whose schema a test has changed is dropped instead. Names are unique, so that several runs may
share a server, and hold the time they were made: what a killed run left is swept by the next. The code under
test connects as a user who may do nothing outside of these databases.
"""

from __future__ import annotations

import os
import secrets
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from engineshed_server.db.models import Base
from tests.server.databases.store import DatabaseStore

PREFIX = "engineshed_test_"
SWEPT_AFTER_S = 2 * 3600  # no test run takes that long
CONNECT_TIMEOUT_S = 5
VERSION_TABLE = "alembic_version"


class ServerStore(DatabaseStore):
    """Databases on a server that runs anyway."""

    def __init__(self, folder: Path, *, url: str) -> None:
        super().__init__(folder)
        self._admin_url = sa.make_url(url)
        self._server = self._open(self._admin_url)
        self._shapes: dict[str, list[tuple[object, ...]]] = {}
        self._sweep()
        self.user = new_name()
        password = secrets.token_hex(16)
        with self._server.connect() as server:
            self._create_user(server, self.user, password=password)
        self._url = self._admin_url.set(username=self.user, password=password)

    def take(self) -> str:
        url = super().take()
        if url not in self._shapes:
            with self._database(url) as connection:
                self._shapes[url] = self._shape(connection)
        return url

    def take_bare(self) -> str:
        name = new_name()
        with self._server.connect() as server:
            self._create(server, name)
        self._made.add(name)
        return self._url.set(database=name).render_as_string(hide_password=False)

    def give_back(self, url: str) -> None:
        name = _database_of(url)
        with self._server.connect() as server:
            self._end_sessions(server, name)
        expected = self._shapes.get(url)
        if expected is not None:
            with self._database(url) as connection:
                if self._shape(connection) == expected:
                    self._empty(connection)
                    self._free.append(url)
                    return
        self._shapes.pop(url, None)
        self._drop(name)

    @contextmanager
    def away(self, url: str) -> Iterator[None]:
        name = _database_of(url)
        with self._server.connect() as server:
            self._forbid(server, name)
            self._end_sessions(server, name)
        try:
            yield
        finally:
            with self._server.connect() as server:
                self._allow(server, name)

    @contextmanager
    def powerless(self, url: str) -> Iterator[str]:
        """URL of the database for another user, who may connect and look but change nothing."""
        user, password = new_name(), secrets.token_hex(16)
        with self._server.connect() as server:
            self._create_user(server, user, password=password)
            self._let_look(server, user, database=_database_of(url))
        try:
            yield sa.make_url(url).set(username=user, password=password).render_as_string(hide_password=False)
        finally:
            self._drop_user(user)

    def existing(self) -> list[str]:
        """Names of all databases on the server."""
        with self._server.connect() as server:
            return self._databases(server)

    def run(self, statement: str) -> None:
        """Carry out a statement as who may do everything."""
        with self._server.connect() as server:
            server.execute(sa.text(statement))

    def close(self) -> None:
        for name in tuple(self._made):
            self._drop(name)
        self._drop_user(self.user)

    @staticmethod
    def _open(url: sa.URL) -> sa.Engine:
        return sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
        )

    def _database(self, url: str) -> sa.Connection:
        return self._open(self._admin_url.set(database=_database_of(url))).connect()

    def _drop(self, name: str) -> None:
        with self._server.connect() as server:
            self._end_sessions(server, name)
            server.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))
        self._made.discard(name)

    def _drop_user(self, name: str) -> None:
        with self._server.connect() as server:
            server.execute(sa.text(f"DROP USER IF EXISTS {name}"))

    def _sweep(self) -> None:
        with self._server.connect() as server:
            databases, users = self._databases(server), self._users(server)
        for name in filter(_is_old, databases):
            self._drop(name)
        for name in filter(_is_old, users):
            self._drop_user(name)

    def _shape(self, connection: sa.Connection) -> list[tuple[object, ...]]:
        """All columns and keys, and the revision: what a test must leave as it was."""
        rows = connection.execute(sa.text(self._shape_query())).all()
        revisions = []
        if any(VERSION_TABLE in row for row in rows):
            revisions = [*connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))]
        return [tuple(row) for row in [*rows, *revisions]]

    def _filled(self, connection: sa.Connection) -> list[str]:
        """Quoted names of the tables that hold rows, those first that refer to others."""
        preparer = connection.dialect.identifier_preparer
        names = [table.name for table in reversed(Base.metadata.sorted_tables)]
        query = " UNION ALL ".join(
            f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {preparer.quote(name)})" for name in names
        )
        return [preparer.quote(name) for name in connection.scalars(sa.text(query))]

    @abstractmethod
    def _create_user(self, server: sa.Connection, user: str, *, password: str) -> None: ...

    @abstractmethod
    def _let_look(self, server: sa.Connection, user: str, *, database: str) -> None: ...

    @abstractmethod
    def _create(self, server: sa.Connection, name: str) -> None: ...

    @abstractmethod
    def _databases(self, server: sa.Connection) -> list[str]: ...

    @abstractmethod
    def _users(self, server: sa.Connection) -> list[str]: ...

    @abstractmethod
    def _end_sessions(self, server: sa.Connection, name: str) -> None:
        """End what a test left open: it may hold locks."""

    @abstractmethod
    def _forbid(self, server: sa.Connection, name: str) -> None: ...

    @abstractmethod
    def _allow(self, server: sa.Connection, name: str) -> None: ...

    @abstractmethod
    def _shape_query(self) -> str: ...

    @abstractmethod
    def _empty(self, connection: sa.Connection) -> None: ...


def new_name() -> str:
    """A name nobody else has, that says when it was made."""
    return f"{PREFIX}{int(time.time())}_{os.getpid()}_{secrets.token_hex(4)}"


def _is_old(name: str) -> bool:
    made = name.removeprefix(PREFIX).partition("_")[0]
    return name.startswith(PREFIX) and made.isdigit() and time.time() - int(made) > SWEPT_AFTER_S


def _database_of(url: str) -> str:
    return str(sa.make_url(url).database)
