from __future__ import annotations

import pytest
from sqlalchemy import text

from engineshed_server.db import schema
from engineshed_server.db.database import Database
from engineshed_server.errors import SetupRefused
from tests.server.databases import ON_SERVERS, DatabaseKind

ANOTHER_ORDER = {
    DatabaseKind.POSTGRESQL: 'ALTER TABLE floors ALTER COLUMN version TYPE varchar(64) COLLATE "default"',
    DatabaseKind.MARIADB: "ALTER TABLE floors MODIFY version varchar(64) COLLATE utf8mb4_general_ci NOT NULL",
}


def test_an_empty_database_has_no_revision(bare: Database) -> None:
    assert schema.find_revision(bare) is None


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    before = schema.find_revision(database)
    schema.upgrade(database)
    assert schema.find_revision(database) == before


def test_a_database_that_was_never_upgraded_is_refused_with_what_to_do(bare: Database) -> None:
    with pytest.raises(SetupRefused) as caught:
        schema.require_current(bare)
    assert caught.value.code == "database-outdated"
    assert "db upgrade" in caught.value.message


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SetupRefused) as caught:
        schema.upgrade(database)
    assert caught.value.code == "database-newer"


def test_a_missing_column_is_found(database: Database) -> None:
    with database.write() as session:
        session.execute(text("ALTER TABLE portal DROP COLUMN created"))
    assert any("created" in difference for difference in schema.check(database))


@ON_SERVERS
def test_a_column_that_orders_texts_as_people_do_is_found(
    database: Database, database_kind: DatabaseKind
) -> None:
    with database.write() as session:
        session.execute(text(ANOTHER_ORDER[database_kind]))
    assert any("floors.version has the collation" in difference for difference in schema.check(database))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite+pysqlite://", "DATETIME"),
        ("postgresql+psycopg://host/db", "TIMESTAMP WITH TIME ZONE"),
        ("postgresql+psycopg://host/db", "SET lock_timeout = 5000;"),
        ("mariadb+pymysql://host/db", "DATETIME(6)"),
        ("mariadb+pymysql://host/db", "lock_wait_timeout = 5,"),
    ],
)
def test_the_sql_can_be_read_before_it_is_run(url: str, expected: str) -> None:
    sql = schema.script(Database(url))
    assert "CREATE TABLE engines" in sql
    assert expected in sql


def test_on_mariadb_texts_are_compared_byte_by_byte() -> None:
    tables = schema.script(Database("mariadb+pymysql://host/db")).split("CREATE TABLE ")[2:]
    assert tables
    assert all("utf8mb4_nopad_bin" in table for table in tables)


def test_on_mariadb_long_texts_may_be_longer_than_64_kib() -> None:
    sql = schema.script(Database("mariadb+pymysql://host/db"))
    assert "update_log LONGTEXT" in sql
