"""An empty database at the newest schema, of every kind."""

from collections.abc import Callable, Iterator

import pytest

from engineshed_server.db.database import Database
from tests.server.databases import DatabaseKind
from tests.server.databases.store import DatabaseStore


@pytest.fixture(params=DatabaseKind)
def database_kind(request: pytest.FixtureRequest) -> DatabaseKind:
    return DatabaseKind(request.param)


@pytest.fixture
def bare(database_store: DatabaseStore) -> Iterator[Database]:
    """A database without any table."""
    made = Database(database_store.take_bare())
    yield made
    made.close()
    database_store.give_back(made.url)


@pytest.fixture
def database(new_database: Callable[[], str]) -> Iterator[Database]:
    made = Database(new_database())
    yield made
    made.close()
