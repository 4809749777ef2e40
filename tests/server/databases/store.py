"""What every store of throw-away databases can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path

from engineshed_server.db import schema
from engineshed_server.db.database import Database


class DatabaseStore(ABC):
    """Databases of one kind, made when they are first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._free: list[str] = []
        self._made: set[str] = set()

    def take(self) -> str:
        """URL of an empty database at the newest schema, nobody else's until it is given back."""
        if self._free:
            return self._free.pop()
        url = self.take_bare()
        database = Database(url)
        schema.upgrade(database)
        database.close()
        return url

    @abstractmethod
    def take_bare(self) -> str:
        """URL of a database without any table."""

    @abstractmethod
    def give_back(self, url: str) -> None:
        """Empty the database for the next one, or drop it."""

    @abstractmethod
    def away(self, url: str) -> AbstractContextManager[None]:
        """Within the block nobody can connect, and who was connected is cut off."""

    @abstractmethod
    def close(self) -> None:
        """Drop all that were made."""
