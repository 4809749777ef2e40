"""Column types that mean the same on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, Text
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, TypeEngine

ID_CHARS = 24  # "eng_" and 20 characters
HASH_CHARS = 64
NAME_CHARS = 64  # of a person, a group, a product, a channel
NOTES_CHARS = 2000  # what people write of an engine
ADDRESS_CHARS = 64  # an IPv6 address with its scope

# SQLite counts up by itself only in a column that is exactly INTEGER PRIMARY KEY.
BigId = BigInteger().with_variant(Integer, "sqlite")
# MariaDB's TEXT ends at 64 KiB; a report with its log lines is longer.
LongText = Text().with_variant(LONGTEXT, "mariadb")


@compiles(String, "postgresql")
def _compile_text(kind: String, compiler: PGTypeCompiler, **options: object) -> str:
    """Texts of a column are ordered byte by byte, as SQLite and MariaDB's ``utf8mb4_nopad_bin`` do.

    PostgreSQL would order them as the database's language does, in which ``2~`` may come before ``2.1``.
    """
    name = compiler.visit_string(kind, **options)
    return name if kind.length is None or kind.collation else f'{name} COLLATE "C"'


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds, whatever the database makes of time zones.

    A naive value is a bug of the caller and is refused with ValueError before it reaches the database.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        """DATETIME(6) on MariaDB, whose DATETIME drops the fraction; timestamptz on PostgreSQL."""
        if dialect.name == "mariadb":
            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Into the database: UTC; without the zone where the database keeps none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected an aware datetime, found the naive {value!r}")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Out of the database: always aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
