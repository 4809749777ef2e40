from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from engineshed_server.db import throttles
from engineshed_server.db.database import Database
from tests.server.db.rows import NOW


def test_an_old_failure_is_forgotten(database: Database) -> None:
    old = throttles.Throttle(source="enrol:a", failures=3, failed=NOW, wait_until=NOW)
    young = replace(old, source="enrol:b", failed=NOW + timedelta(hours=1))
    with database.write() as session:
        throttles.write_throttle(session, old)
        throttles.write_throttle(session, young)
        session.flush()
        throttles.forget_throttles(session, before=NOW + timedelta(minutes=1))
    with database.read() as session:
        assert throttles.find_throttle(session, "enrol:a") is None
        assert throttles.find_throttle(session, "enrol:b") == young
