"""An empty database at the newest schema, of every kind."""

from collections.abc import Callable, Iterator

import pytest

from engineshed_server.db.database import Database
from tests.server.databases import DatabaseKind


@pytest.fixture(params=DatabaseKind)
def database_kind(request: pytest.FixtureRequest) -> DatabaseKind:
    return DatabaseKind(request.param)


@pytest.fixture
def database(new_database: Callable[[], str]) -> Iterator[Database]:
    made = Database(new_database())
    yield made
    made.close()
