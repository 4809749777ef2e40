"""Use cases run on every database."""

import pytest

from tests.server.databases import DatabaseKind


@pytest.fixture(params=DatabaseKind)
def database_kind(request: pytest.FixtureRequest) -> DatabaseKind:
    return DatabaseKind(request.param)
