"""The schema's life: bring a database to this version, see whether it is, print the SQL.

Migrations are additive and work with the previous version's code, so that a portal can be updated
while it runs. They are numbered files in ``migrations/versions``.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from engineshed_server.db.collations import find_wrong_collations
from engineshed_server.db.connecting import OF_MIGRATIONS, session_statements
from engineshed_server.db.database import Database
from engineshed_server.db.migrating import migrating
from engineshed_server.db.models import Base
from engineshed_server.errors import SetupRefused

MIGRATIONS = Path(__file__).parent / "migrations"
CONNECTION = "connection"  # attribute of the alembic configuration under which env.py finds it


def _config(connection: Connection | None, output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes[CONNECTION] = connection
    return config


@cache
def _known_revisions() -> tuple[str, ...]:
    """All revisions this version of the code knows, the newest first."""
    scripts = ScriptDirectory.from_config(_config(None)).walk_revisions()
    return tuple(script.revision for script in scripts)


def find_revision(database: Database) -> str | None:
    """The revision the database is at, None when it is empty.

    Raises:
        TryLater: code ``database-unavailable``.
    """
    with database.connection() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def require_current(database: Database) -> None:
    """Return only when the database is at the revision this code works with.

    Raises:
        SetupRefused: code ``database-outdated`` or ``database-newer``.
        TryLater: code ``database-unavailable``.
    """
    found, known = find_revision(database), _known_revisions()
    if found == known[0]:
        return
    if found is not None and found not in known:
        raise _newer(found)
    raise SetupRefused(
        "database-outdated",
        f"the database is at revision {found}, expected {known[0]}: run `engineshed-server db upgrade`",
    )


def upgrade(database: Database) -> None:
    """Bring the database to this version; one transaction, nothing when it already is.

    Raises:
        SetupRefused: code ``database-newer``.
        TryLater: code ``database-unavailable``.
    """
    found = find_revision(database)
    if found is not None and found not in _known_revisions():
        raise _newer(found)
    with migrating(database.url) as connection:
        command.upgrade(_config(connection), "head")


def check(database: Database) -> tuple[str, ...]:
    """What differs between the database and this version of the code; empty when nothing does.

    Raises:
        TryLater: code ``database-unavailable``.
    """
    try:
        require_current(database)
    except SetupRefused as err:
        return (err.message,)
    with database.connection() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [str(difference) for difference in compare_metadata(context, Base.metadata)]
        return (*differences, *find_wrong_collations(connection))


def script(database: Database) -> str:
    """The SQL that builds an empty database up to this version, for those who want to read it first.

    It begins with the time that its statements may wait and take, as ``upgrade`` has it.
    """
    output = io.StringIO()
    config = _config(None, output)
    config.set_main_option("sqlalchemy.url", f"{database.engine.url.drivername}://")
    command.upgrade(config, "head", sql=True)
    first = session_statements(database.engine.dialect.name, OF_MIGRATIONS)
    return "".join(f"{statement};\n" for statement in first) + output.getvalue()


def _newer(found: str) -> SetupRefused:
    return SetupRefused(
        "database-newer",
        f"the database is at revision {found}, which this version does not know: it was made by a newer one; "
        "run that one, or restore a backup",
    )
