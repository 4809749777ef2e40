"""How the database compares and orders texts: byte by byte, on each of the three.

Where it does not, two names that differ may be one (``A`` and ``a``, ``a`` and ``a`` with a blank behind it),
and versions may come in another order than ours. SQLite has it so by itself; PostgreSQL is told by the type
of a column (``types``), MariaDB by each table (``models.MARIADB``). Alembic does not look at it.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from engineshed_server.db.connecting import MARIADB, POSTGRESQL

_ALEMBICS_OWN = "alembic_version"
_QUERIES = {
    # Ordered texts have a length: the others are JSON and lines of logs.
    POSTGRESQL: """
        SELECT table_name, column_name, coalesce(collation_name, 'of the database')
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND data_type = 'character varying'
            AND collation_name IS DISTINCT FROM 'C'
        """,
    MARIADB: """
        SELECT table_name, column_name, collation_name FROM information_schema.columns
        WHERE table_schema = DATABASE() AND collation_name <> 'utf8mb4_nopad_bin'
        """,
}


def find_wrong_collations(connection: Connection) -> tuple[str, ...]:
    """A sentence for each column whose texts are not compared byte by byte."""
    query = _QUERIES.get(connection.dialect.name)
    if query is None:
        return ()
    found = connection.execute(text(query)).all()
    return tuple(
        f"{table}.{column} has the collation {collation}, expected one that compares bytes"
        for table, column, collation in sorted(map(tuple, found))
        if table != _ALEMBICS_OWN
    )
