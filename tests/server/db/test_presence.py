from __future__ import annotations

import threading
import time
from datetime import timedelta

from engineshed_server.db import engines
from engineshed_server.db.database import Database
from engineshed_server.db.presence import write_presences
from tests.server.db.rows import NOW, engine_record, presence_record

SOON_S = 0.3


def test_of_two_processes_that_write_one_engine_at_once_none_forgets_the_nonce_of_the_other(
    database: Database,
) -> None:
    record = engine_record()
    said = [
        presence_record(boot=f"host-{number}", seen=NOW + timedelta(seconds=number)) for number in range(3)
    ]
    with database.write() as session:
        engines.add_engine(session, record)
        session.flush()
        write_presences(session, said[:1])

    def write() -> None:
        with database.write() as session:
            write_presences(session, said[2:])

    other = threading.Thread(target=write)
    with database.write() as session:
        write_presences(session, said[1:2])
        other.start()
        time.sleep(SOON_S)  # it has looked, or waits to
    other.join()
    with database.read() as session:
        found = engines.find_engine(session, record.engine_id)
    assert found is not None
    assert [boot.nonce for boot in found.boots.recent] == ["host-0", "host-1", "host-2"]
