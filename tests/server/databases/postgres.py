"""Throw-away databases on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

from tests.server.databases.server import ServerStore


class PostgresStore(ServerStore):
    """Databases on PostgreSQL."""

    def _create_user(self, server: sa.Connection, user: str, *, password: str) -> None:
        server.execute(sa.text(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'"))
        # Nobody cuts the power of a test.
        server.execute(sa.text(f"ALTER ROLE {user} SET synchronous_commit = off"))

    def _let_look(self, server: sa.Connection, user: str, *, database: str) -> None:
        """Nothing to do: who may connect may look, and since PostgreSQL 15 create nothing."""

    def _create(self, server: sa.Connection, name: str) -> None:
        server.execute(sa.text(f"CREATE DATABASE {name} OWNER {self.user}"))

    def _databases(self, server: sa.Connection) -> list[str]:
        return list(server.scalars(sa.text("SELECT datname FROM pg_database")))

    def _users(self, server: sa.Connection) -> list[str]:
        return list(server.scalars(sa.text("SELECT rolname FROM pg_roles")))

    def _end_sessions(self, server: sa.Connection, name: str) -> None:
        query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
        server.execute(sa.text(query), {"name": name})

    def _forbid(self, server: sa.Connection, name: str) -> None:
        server.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))

    def _allow(self, server: sa.Connection, name: str) -> None:
        server.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))

    def _shape_query(self) -> str:
        return """
            SELECT c.relname, a.attname, a.atttypid::text, a.atttypmod, a.attcollation::text, a.attnotnull,
                a.atthasdef
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i') AND NOT a.attisdropped
                AND a.attnum > 0
            ORDER BY c.relname, a.attnum
            """

    def _empty(self, connection: sa.Connection) -> None:
        connection.execute(sa.text("SET synchronous_commit = off"))
        connection.execute(sa.text("BEGIN"))
        for name in self._filled(connection):
            connection.execute(sa.text(f"DELETE FROM {name}"))
        restart = "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)"
        connection.execute(sa.text(f"{restart} FROM pg_sequences WHERE last_value IS NOT NULL"))
        connection.execute(sa.text("COMMIT"))
