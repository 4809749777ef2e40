"""Throw-away databases of SQLite: files."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from engineshed_server.db import schema
from engineshed_server.db.database import Database
from tests.server.databases.store import DatabaseStore


class SqliteStore(DatabaseStore):
    """Files in a folder; a migrated one is copied."""

    def take(self) -> str:
        template = self.folder / "template.db"
        if not template.exists():
            database = Database(f"sqlite+pysqlite:///{template}")
            schema.upgrade(database)
            database.close()  # with its last connection SQLite puts the log into the file
        url = self.take_bare()
        copy_database(template, path_of(url))
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


def copy_database(source: Path, target: Path) -> None:
    """Copy a closed SQLite database, with the mode the portal gives it."""
    shutil.copyfile(source, target)
    target.chmod(0o600)
