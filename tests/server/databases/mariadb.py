"""Throw-away databases on MariaDB."""

from __future__ import annotations

from contextlib import suppress

import sqlalchemy as sa

from tests.server.databases.server import ServerStore

# Tables whose rows the server numbers; none of their names needs quotes.
_NUMBERED = """
    SELECT table_name FROM information_schema.columns
    WHERE table_schema = DATABASE() AND extra LIKE '%auto_increment%'
    """


class MariaDbStore(ServerStore):
    """Databases on MariaDB."""

    def _create_user(self, server: sa.Connection, user: str, *, password: str) -> None:
        server.execute(sa.text(f"CREATE USER {user} IDENTIFIED BY '{password}'"))

    def _let_look(self, server: sa.Connection, user: str, *, database: str) -> None:
        server.execute(sa.text(f"GRANT SELECT ON {database}.* TO {user}"))

    def _create(self, server: sa.Connection, name: str) -> None:
        server.execute(sa.text(f"CREATE DATABASE {name}"))
        server.execute(sa.text(f"GRANT ALL ON {name}.* TO {self.user}"))

    def _databases(self, server: sa.Connection) -> list[str]:
        return list(server.scalars(sa.text("SHOW DATABASES")))

    def _users(self, server: sa.Connection) -> list[str]:
        return list(server.scalars(sa.text("SELECT user FROM mysql.user")))

    def _end_sessions(self, server: sa.Connection, name: str) -> None:
        query = sa.text("SELECT id FROM information_schema.processlist WHERE db = :name")
        for number in server.scalars(query, {"name": name}).all():
            # It may have ended by itself since.
            with suppress(sa.exc.OperationalError):
                server.execute(sa.text(f"KILL {int(number)}"))

    def _forbid(self, server: sa.Connection, name: str) -> None:
        # A database cannot be closed, its user can: nobody else of this test process is that user just now.
        server.execute(sa.text(f"ALTER USER {self.user} ACCOUNT LOCK"))

    def _allow(self, server: sa.Connection, name: str) -> None:
        server.execute(sa.text(f"ALTER USER {self.user} ACCOUNT UNLOCK"))

    def _shape_query(self) -> str:
        return """
            SELECT table_name, column_name, column_type, is_nullable, column_key, column_default,
                collation_name
            FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY 1, 2
            """

    def _empty(self, connection: sa.Connection) -> None:
        filled = self._filled(connection)
        connection.execute(sa.text("SET foreign_key_checks = 0"))
        connection.execute(sa.text("BEGIN"))
        for name in filled:
            connection.execute(sa.text(f"DELETE FROM {name}"))
        connection.execute(sa.text("COMMIT"))
        for name in connection.scalars(sa.text(_NUMBERED)).all():
            if name in filled:
                connection.execute(sa.text(f"ALTER TABLE {name} AUTO_INCREMENT = 1"))
