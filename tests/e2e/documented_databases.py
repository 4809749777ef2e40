"""A database and its two users, made by the SQL that docs/databases.md tells an admin to run."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from tests.conftest import require
from tests.server.databases import MARIADB_URL, POSTGRES_URL, DatabaseKind, server_url
from tests.server.databases.server import new_name

DOCUMENT = Path(__file__).parents[2] / "docs" / "databases.md"
KINDS = (DatabaseKind.POSTGRESQL, DatabaseKind.MARIADB)  # in the order of the document


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrls:
    """One database: for the portal, and for who makes and upgrades its schema."""

    portal: str
    owner: str


@contextmanager
def documented_database(kind: DatabaseKind) -> Iterator[DatabaseUrls]:
    """The document's statements with other names and passwords; everything is dropped at the end."""
    server = sa.make_url(server_url(POSTGRES_URL if kind is DatabaseKind.POSTGRESQL else MARIADB_URL))
    name = new_name()
    passwords = {"change-me": secrets.token_hex(8), "change-me-too": secrets.token_hex(8)}
    blocks = re.findall(r"^```sql\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    text = re.sub(r"\bengineshed(?=\b|_owner\b)", name, blocks[KINDS.index(kind)])
    text = re.sub(r"'(change-me[a-z-]*)'", lambda found: f"'{passwords[found[1]]}'", text)
    users = {"portal": (name, "change-me-too"), "owner": (f"{name}_owner", "change-me")}
    try:
        for statement in filter(None, map(str.strip, text.split(";"))):
            # These are for the tables of the new database, and said there.
            within = name if statement.startswith("ALTER DEFAULT PRIVILEGES") else server.database
            _run(server.set(database=within), statement)
        urls = {
            who: server.set(username=user, password=passwords[word], database=name).render_as_string(False)
            for who, (user, word) in users.items()
        }
        yield DatabaseUrls(**urls)
    finally:
        _run(server, f"DROP DATABASE IF EXISTS {name}")
        for user, _ in users.values():
            _run(server, f"DROP USER IF EXISTS {user}")


def _run(url: sa.URL, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text(statement))
    except sa.exc.OperationalError as err:
        require("connect" not in str(err.orig).lower(), f"no server at {url.render_as_string()}: {err.orig}")
        raise
