from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError

from engineshed_server.db import engines
from engineshed_server.db.database import Database
from tests.server.db.rows import engine_record


def test_a_time_comes_back_aware_in_utc_with_its_microseconds(database: Database) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2026, 11, 22, 13, 30, 0, 123456, tzinfo=zone)
    record = engine_record(enrolled=moment)
    with database.write() as session:
        engines.add_engine(session, record)
    with database.read() as session:
        found = engines.find_engine(session, record.engine_id)
    assert found is not None
    assert found.enrolled == moment
    assert found.enrolled.tzinfo is UTC


def test_a_naive_time_is_a_bug_and_never_stored(database: Database) -> None:
    with pytest.raises(StatementError), database.write() as session:
        engines.add_engine(session, engine_record(enrolled=datetime(2026, 11, 22)))
