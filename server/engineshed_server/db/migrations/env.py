"""What alembic runs for every command: bind it to our tables and to the connection it was given.

``schema`` gives the connection; without one (``--sql``) the SQL is printed for the dialect of the URL.
``render_as_batch`` because SQLite cannot alter a table: alembic copies it instead.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from engineshed_server.db.models import Base
from engineshed_server.db.schema import CONNECTION


def _run() -> None:
    connection = context.config.attributes.get(CONNECTION)
    if isinstance(connection, Connection):
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            compare_type=True,
            user_module_prefix="types.",
        )
    else:
        context.configure(
            url=context.config.get_main_option("sqlalchemy.url"),
            target_metadata=Base.metadata,
            render_as_batch=True,
            literal_binds=True,
        )
    with context.begin_transaction():
        context.run_migrations()


_run()
