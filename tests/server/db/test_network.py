"""What the network between the portal and a database server can do to a transaction."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from engineshed_server.db.database import Database
from engineshed_server.db.models import FloorRow
from engineshed_server.errors import TryLater
from tests.server.databases import ON_SERVERS, DatabaseKind
from tests.server.databases.link import Link, linked
from tests.server.serve.processes import wait_until

pytestmark = ON_SERVERS


@pytest.fixture
def link(database: Database) -> Iterator[Link]:
    """The way to the database, which has one row."""
    with database.write() as session:
        session.add(FloorRow(product="one", version="0"))
    with linked(database.url) as made:
        yield made


@pytest.fixture
def far(link: Link) -> Iterator[Database]:
    """The same database, behind the link."""
    made = Database(link.url)
    made.ping()
    yield made
    made.close()


def version_of(database: Database) -> str:
    with database.read() as session:
        return str(session.scalar(text("SELECT version FROM floors")))


def test_a_connection_that_breaks_in_a_transaction_leaves_nothing(
    database: Database, far: Database, link: Link
) -> None:
    with pytest.raises(TryLater) as caught, far.write() as session:
        session.execute(text("UPDATE floors SET version = '7'"))
        link.cut()
        session.execute(text("UPDATE floors SET version = '8'"))
    assert caught.value.code == "database-unavailable"
    assert version_of(database) == "0"


def test_a_connection_that_breaks_in_the_commit_is_said_to_leave_it_open_what_was_written(
    database: Database, far: Database, link: Link
) -> None:
    with pytest.raises(TryLater) as caught, far.write() as session:
        session.execute(text("UPDATE floors SET version = '7'"))
        link.cut_after(b"COMMIT")
    assert caught.value.code == "database-lost"
    assert "not known" in caught.value.message
    # As it happens the server heard it, and its answer was lost.
    wait_until(lambda: version_of(database) == "7", "the server has committed")


def test_a_commit_the_server_never_heard_is_said_to_leave_it_open_too(
    database: Database, far: Database, link: Link
) -> None:
    with pytest.raises(TryLater) as caught, far.write() as session:
        session.execute(text("UPDATE floors SET version = '7'"))
        link.cut()
    assert caught.value.code == "database-lost"
    assert version_of(database) == "0"


def test_a_server_that_vanishes_from_the_network_is_noticed(
    far: Database, database_kind: DatabaseKind
) -> None:
    with far.connection() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        if database_kind is DatabaseKind.MARIADB:
            assert (driver._read_timeout, driver._write_timeout) == (40, 40)
            return
        with socket.socket(fileno=socket.dup(driver.fileno())) as ours:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000
