"""Fixtures of the server's tests: a portal and its database.

What asks for ``database``, ``house``, ``make_portal`` or ``new_database`` runs on SQLite; below ``db`` and
``services`` it runs on SQLite, PostgreSQL and MariaDB, without knowing. A test there that asks for none of
them has nothing to do with a database, and runs once.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from engineshed_server.db.database import Database
from tests.server import portals
from tests.server.databases import (
    DatabaseAway,
    DatabaseKind,
    NewDatabase,
    open_store,
)
from tests.server.databases.sqlite import lay_database
from tests.server.databases.store import DatabaseStore
from tests.server.portals import House, MakePortal
from tests.vendor import Vendor

StoreOf = Callable[[DatabaseKind], DatabaseStore]


@pytest.fixture(scope="session")
def database_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreOf]:
    """The store of each kind, opened when it is first needed; all are closed at the end."""
    opened: dict[DatabaseKind, DatabaseStore] = {}

    def store_of(kind: DatabaseKind) -> DatabaseStore:
        if kind not in opened:
            opened[kind] = open_store(kind, tmp_path_factory.mktemp(kind))
        return opened[kind]

    yield store_of
    for store in opened.values():
        store.close()


@pytest.fixture
def database_kind() -> DatabaseKind:
    """Which database the test runs on; ``db`` and ``services`` say: each."""
    return DatabaseKind.SQLITE


@pytest.fixture
def database_store(database_kind: DatabaseKind, database_stores: StoreOf) -> DatabaseStore:
    return database_stores(database_kind)


@pytest.fixture
def new_database(database_store: DatabaseStore) -> Iterator[NewDatabase]:
    """Gives the URL of another empty database at the newest schema."""
    lent: list[str] = []

    def lend() -> str:
        lent.append(database_store.take())
        return lent[-1]

    yield lend
    for url in lent:
        database_store.give_back(url)


@pytest.fixture
def database_away(database_store: DatabaseStore) -> DatabaseAway:
    """Within ``with database_away(database):`` nothing reaches it; its connections are lost."""

    @contextmanager
    def away(database: Database) -> Iterator[None]:
        database.close()
        with database_store.away(database.engine.url.render_as_string(hide_password=False)):
            yield

    return away


@pytest.fixture
def make_portal(
    tmp_path: Path, database_kind: DatabaseKind, new_database: NewDatabase
) -> Iterator[MakePortal]:
    """Makes initialised, open portals, each with a database of its own; closes them at the end."""
    with ExitStack() as stack:

        def make(*, vendor: Vendor | None = None, folder: Path = tmp_path, **flags: str | int) -> House:
            if database_kind is DatabaseKind.SQLITE:
                lay_database(folder / "data")
            else:
                flags["database__url"] = new_database()
            house = portals.make_portal(folder, vendor=vendor, **flags)
            stack.callback(house.close)
            return house

        yield make


@pytest.fixture
def house(make_portal: MakePortal) -> House:
    """An initialised, open portal without any release, and its vendor."""
    return make_portal()
