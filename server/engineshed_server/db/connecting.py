"""Opening a connection to each of the three databases so that they behave alike.

What a server's administrator may have set otherwise is set by us, once for each connection: how long a lock
and a statement may take, which faults in values are errors. What only one of them has is made the same here:
SQLite's driver leaves transactions to us, MariaDB counts the rows an UPDATE found and not those it altered
(SQLAlchemy asks for that), and a peer that vanished from the network is noticed within half a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from engineshed_server.errors import SetupRefused

SQLITE, POSTGRESQL, MARIADB = "sqlite", "postgresql", "mariadb"

CONNECT_TIMEOUT_S = 10
POOL_WAIT_S = 15  # for a connection of ours that is in use
KEPT_CONNECTIONS = 5  # in a pool while nothing happens
# Firewalls forget quiet connections after an hour or so, MariaDB after eight.
RECYCLE_S = 1800
# From a peer that vanished: probes after 10 s of silence, three of them.
_PROBES = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_UNANSWERED_MS = 25_000
_JOURNAL_BYTES = 64 * 1024 * 1024  # what SQLite's log may keep on disk after a large transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a statement may wait for a lock, and take as a whole."""

    lock_s: int
    statement_s: int


# A bundle's transaction takes milliseconds; a checkpoint on a slow disk, seconds.
OF_SESSIONS = Patience(lock_s=15, statement_s=30)
# Who waits for a table's lock makes everybody wait who comes after; what copies a large table may take long.
OF_MIGRATIONS = Patience(lock_s=5, statement_s=1800)


def open_engine(url: str, *, connections: int | None, patience: Patience) -> Engine:
    """An engine that connects as this module says; nothing is connected yet.

    Args:
        url: names its driver.
        connections: at most so many at once; None: each is closed when it is given back.

    Raises:
        SetupRefused: code ``database-url``.
    """
    try:
        parsed = make_url(url)
        engine = create_engine(
            parsed,
            connect_args=_arguments(parsed, patience),
            **_pool(parsed, connections),
        )
    except (ArgumentError, ImportError, ValueError) as err:
        raise SetupRefused("database-url", f"the database URL cannot be used: {err}") from err
    statements = session_statements(engine.dialect.name, patience)

    # The driver's connection has no common type: Any is what SQLAlchemy hands out.
    def prepare(connection: Any, _record: object) -> None:
        if engine.dialect.name == SQLITE:
            connection.isolation_level = None  # its driver opens no transactions by itself any more
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        if engine.dialect.name != SQLITE:
            connection.commit()  # PostgreSQL takes back what was set in a transaction that is rolled back

    event.listen(engine, "connect", prepare)
    return engine


def session_statements(dialect: str, patience: Patience) -> tuple[str, ...]:
    """What is said first on each connection."""
    lock_ms, statement_ms = patience.lock_s * 1000, patience.statement_s * 1000
    if dialect == POSTGRESQL:
        return (
            f"SET lock_timeout = {lock_ms}",
            f"SET statement_timeout = {statement_ms}",
            # A process that hangs in the middle of a transaction must not hold its locks for ever.
            f"SET idle_in_transaction_session_timeout = {2 * statement_ms}",
        )
    if dialect == MARIADB:
        return (
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            f"SET SESSION innodb_lock_wait_timeout = {patience.lock_s}, "
            f"lock_wait_timeout = {patience.lock_s}, max_statement_time = {patience.statement_s}, "
            f"idle_transaction_timeout = {2 * patience.statement_s}, "
            # Too long a text is refused, never cut, whatever the server's configuration says.
            "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
        )
    return (
        f"PRAGMA busy_timeout = {lock_ms}",
        "PRAGMA journal_mode = WAL",
        # A row must not be lost in a power cut: its files are already on disk and engines may have it.
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}",
    )


def _arguments(url: URL, patience: Patience) -> Mapping[str, object]:
    """What the driver is told beside the URL, which may say otherwise."""
    given: dict[str, object] = {}
    name = url.get_backend_name()
    if name == POSTGRESQL:
        given = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "engineshed",
            "tcp_user_timeout": _UNANSWERED_MS,
            **_PROBES,
        }
    elif name == MARIADB:
        # The server ends a statement in time; when it has vanished, it does not.
        silence_s = patience.statement_s + 10
        given = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": silence_s,
            "write_timeout": silence_s,
            "program_name": "engineshed",
        }
    return {key: value for key, value in given.items() if key not in url.query}


def _pool(url: URL, connections: int | None) -> dict[str, Any]:
    if connections is None:
        return {"poolclass": NullPool}
    if url.get_backend_name() == SQLITE and url.database in (None, "", ":memory:"):
        return {}  # one connection for all: each would have a database of its own
    kept = min(KEPT_CONNECTIONS, connections)
    return {
        "pool_size": kept,
        "max_overflow": connections - kept,
        "pool_timeout": POOL_WAIT_S,
        "pool_recycle": RECYCLE_S,
        "pool_use_lifo": True,
        "pool_pre_ping": url.get_backend_name() != SQLITE,
    }
