"""Throw-away databases of SQLite: files.

``lay_database(folder)`` puts one where a portal of *folder* has it. Then ``initialise`` has nothing to
migrate, which costs more than most tests.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from engineshed_server.db import schema
from engineshed_server.db.database import Database
from tests.server.databases.store import DatabaseStore


class SqliteStore(DatabaseStore):
    """Files in a folder."""

    def take(self) -> str:
        url = self.take_bare()
        write_database(path_of(url))
        return url

    def take_bare(self) -> str:
        return f"sqlite+pysqlite:///{self.folder}/{secrets.token_hex(6)}.db"

    def give_back(self, url: str) -> None:
        for path in self.folder.glob(f"{path_of(url).name}*"):
            path.unlink()

    @contextmanager
    def away(self, url: str) -> Iterator[None]:
        """Who has the file open keeps it: connections must be closed before."""
        path = path_of(url)
        hidden = path.rename(path.with_name("away"))
        path.mkdir()
        try:
            yield
        finally:
            path.rmdir()
            hidden.rename(path)

    def close(self) -> None:
        """Nothing: pytest removes its folders by itself."""


def path_of(url: str) -> Path:
    """The file of a SQLite database."""
    return Path(sa.make_url(url).database or "")


def write_database(path: Path) -> None:
    """Write an empty database at the newest schema, with the mode the portal gives it."""
    path.write_bytes(_migrated())
    path.chmod(0o600)


def lay_database(data_dir: Path) -> None:
    """Write one where a portal has it when nothing is said; makes the folder as it does."""
    data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_database(data_dir / "engineshed.db")


@cache
def _migrated() -> bytes:
    """The file of a database that was migrated, once in a test process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "migrated.db"
        database = Database(f"sqlite+pysqlite:///{path}")
        schema.upgrade(database)
        database.close()  # with its last connection SQLite puts the log into the file
        return path.read_bytes()
