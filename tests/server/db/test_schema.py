from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from engineshed_server.db import schema
from engineshed_server.db.database import Database
from engineshed_server.errors import SetupRefused


def empty(folder: Path) -> Database:
    return Database(f"sqlite+pysqlite:///{folder}/empty.db")


def test_the_migrations_build_exactly_the_models(database: Database) -> None:
    assert schema.check(database) == ()


def test_an_empty_database_has_no_revision(tmp_path: Path) -> None:
    assert schema.find_revision(empty(tmp_path)) is None


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    before = schema.find_revision(database)
    schema.upgrade(database)
    assert schema.find_revision(database) == before


def test_a_database_that_was_never_upgraded_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupRefused) as caught:
        schema.require_current(empty(tmp_path))
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


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite+pysqlite://", "DATETIME"),
        ("postgresql+psycopg://host/db", "TIMESTAMP WITH TIME ZONE"),
        ("mariadb+pymysql://host/db", "DATETIME(6)"),
    ],
)
def test_the_sql_can_be_read_before_it_is_run(url: str, expected: str) -> None:
    sql = schema.script(Database(url))
    assert "CREATE TABLE engines" in sql
    assert expected in sql


def test_on_mariadb_texts_are_compared_byte_by_byte() -> None:
    tables = schema.script(Database("mariadb+pymysql://host/db")).split("CREATE TABLE ")[2:]
    assert tables
    assert all("utf8mb4_bin" in table for table in tables)


def test_on_mariadb_long_texts_may_be_longer_than_64_kib() -> None:
    sql = schema.script(Database("mariadb+pymysql://host/db"))
    assert "update_log LONGTEXT" in sql
