"""An empty database at the newest schema."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_server.db import schema
from engineshed_server.db.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite+pysqlite:///{tmp_path}/test.db")
    schema.upgrade(made)
    yield made
    made.close()
