from __future__ import annotations

from datetime import timedelta

import pytest

from engineshed_server.db import engines, orders
from engineshed_server.db.database import Database
from engineshed_server.errors import Raced
from tests.server.db.rows import NOW, engine_record, order_record

ENGINE = engine_record()


@pytest.fixture(autouse=True)
def engine(database: Database) -> None:
    with database.write() as session:
        engines.add_engine(session, ENGINE)


def close(database: Database, state: str = orders.ANSWERED, *, name: str = "one") -> bool:
    with database.write() as session:
        return orders.close_order(
            session,
            order_record(name).order_id,
            engine_id=ENGINE.engine_id,
            state=state,
            answer="ok",
            now=NOW,
        )


def add(database: Database, record: orders.OrderRecord) -> None:
    with database.write() as session:
        orders.add_order(session, record)


def test_an_order_comes_back_as_it_was_written(database: Database) -> None:
    add(database, order_record())
    with database.read() as session:
        assert orders.find_open_order(session, ENGINE.engine_id) == order_record()


def test_a_second_open_order_of_an_engine_cannot_exist(database: Database) -> None:
    add(database, order_record())
    with pytest.raises(Raced):
        add(database, order_record("two", seq=2))


def test_a_seq_is_given_once_per_engine_and_key(database: Database) -> None:
    add(database, order_record())
    assert close(database)
    with pytest.raises(Raced):
        add(database, order_record("two", seq=1))


def test_an_order_is_closed_once(database: Database) -> None:
    add(database, order_record())
    assert close(database)
    assert not close(database, orders.REFUSED)


def test_another_engine_cannot_close_an_order(database: Database) -> None:
    add(database, order_record())
    with database.write() as session:
        closed = orders.close_order(
            session,
            order_record().order_id,
            engine_id=engine_record("two").engine_id,
            state=orders.ANSWERED,
            answer="ok",
            now=NOW,
        )
    assert not closed


def test_after_closing_another_order_may_be_open(database: Database) -> None:
    add(database, order_record())
    close(database)
    add(database, order_record("two", seq=2))
    with database.read() as session:
        assert orders.find_open_order(session, ENGINE.engine_id) == order_record("two", seq=2)


def test_the_highest_seq_counts_closed_orders_too(database: Database) -> None:
    add(database, order_record(seq=7))
    close(database)
    with database.read() as session:
        assert orders.highest_seq(session, ENGINE.engine_id, keyid="k" * 64) == 7


def test_each_order_key_has_a_seq_of_its_own(database: Database) -> None:
    add(database, order_record(seq=7))
    with database.read() as session:
        assert orders.highest_seq(session, ENGINE.engine_id, keyid="j" * 64) == 0


def test_a_refusal_is_found_until_it_is_too_old(database: Database) -> None:
    add(database, order_record())
    close(database, orders.REFUSED)
    with database.read() as session:
        before, after = NOW - timedelta(hours=1), NOW
        assert orders.find_last_refused(session, ENGINE.engine_id, sha256="a" * 64, since=before) is not None
        assert orders.find_last_refused(session, ENGINE.engine_id, sha256="a" * 64, since=after) is None
        assert orders.find_last_refused(session, ENGINE.engine_id, sha256="b" * 64, since=before) is None
