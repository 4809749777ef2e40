"""The pages of a portal with ten thousand engines and a hundred thousand attempts, on SQLite and PostgreSQL.

What is measured is the time from the request's first byte to the answer's last, in this process, with nobody
beside it: what the database and the template take. Each page is asked several times, the median counts.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import insert, text

from engineshed_packages.ids import derived_id
from engineshed_server.app import create_app
from engineshed_server.db import engines
from engineshed_server.db.models import AuditRow, EngineRow, PresenceRow, ReportRow
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.boots import Boots
from engineshed_server.domain.roles import Role
from engineshed_server.services import logins, users
from engineshed_server.services.logins import Visitor
from engineshed_server.services.portal import Portal
from tests.bench.figure import Figure
from tests.server.databases import DatabaseKind, open_store
from tests.server.portals import House, make_portal
from tests.vendor import PRODUCT

ENGINES = 10_000
ATTEMPTS_EACH = 10
ROUNDS = 5
AT_MOST_S = 0.3
CHUNK = 1000
PASSWORD = "four words in a row"
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")
_LINES = json.dumps([f"line {number} of what the engine has said" for number in range(40)])

PATHS = (
    "/",
    "/engines",
    "/engines?show=behind&sort=version&page=40",
    "/engines?show=failed&sort=seen&down=1",
    "/engines?show=late",
    "/engines?q=host-77",
    "/engines?version=1.1.0&group=group-3&sort=group&page=2",
    f"/engines/{derived_id('eng', 'host-77')}",
    "/groups",
    "/update-packages",
    "/enrolment",
    "/tokens",
    "/audit",
    f"/audit?subject={derived_id('eng', 'host-77')}",
    "/users",
    "/about",
)


def measure_pages(
    folder: Path, *, count: int = ENGINES, rounds: int = ROUNDS, at_most_s: float | None = AT_MOST_S
) -> list[Figure]:
    """The pages on each database."""
    figures: list[Figure] = []
    for kind in (DatabaseKind.SQLITE, DatabaseKind.POSTGRESQL):
        place = folder / kind
        place.mkdir()
        with (
            closing(open_store(kind, place)) as store,
            closing(make_portal(place, database__url=store.take())) as house,
        ):
            figures += _measure(house, kind, count=count, rounds=rounds, at_most_s=at_most_s)
    return figures


def _measure(
    house: House, kind: DatabaseKind, *, count: int, rounds: int, at_most_s: float | None
) -> Iterator[Figure]:
    for version in VERSIONS:
        house.publish(version)
    _seed(house.portal, count=count, now=house.now)
    browser = _log_in(house.portal)
    for path in PATHS:
        taken_s = statistics.median(_ask_s(browser, path) for _ in range(rounds))
        yield Figure(f"{kind}: {path[:44]}", taken_s, "ms", at_most=at_most_s)


def _ask_s(browser: FlaskClient, path: str) -> float:
    began_s = time.perf_counter()
    answer = browser.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return time.perf_counter() - began_s


def _log_in(portal: Portal) -> FlaskClient:
    now = datetime.now(UTC)
    users.create_user(portal, name="olga", password=PASSWORD, role=Role.OWNER, actor=Actor("bench"), now=now)
    begun = logins.log_in(
        portal, name="olga", password=PASSWORD, visitor=Visitor(address="192.0.2.1"), now=now
    )
    browser = create_app(portal).test_client()
    browser.set_cookie("engineshed_login", begun.secret)
    return browser


def _seed(portal: Portal, *, count: int, now: datetime) -> None:
    """Engines of three versions in ten groups, one in twenty silent, one in ten failed at last."""
    for begin in range(0, count, CHUNK):
        numbers = range(begin, min(begin + CHUNK, count))
        with portal.database.write() as session:
            session.execute(insert(EngineRow), [_engine(number, now=now) for number in numbers])
            session.execute(insert(PresenceRow), [_presence(number, now=now) for number in numbers])
            told = [_report(number, nth, now=now) for number in numbers for nth in range(ATTEMPTS_EACH)]
            session.execute(insert(ReportRow), told)
            session.execute(insert(AuditRow), [_audit(row) for row in told])
    if portal.database.engine.dialect.name == "postgresql":  # does so by itself, some minutes later
        with portal.database.write() as session:
            session.execute(text("ANALYZE"))
    portal.snapshot.refresh()


def _version(number: int) -> str:
    return VERSIONS[-1] if number % 4 else VERSIONS[number % 3 - 1]


def _engine(number: int, *, now: datetime) -> dict[str, object]:
    return {
        "id": derived_id("eng", f"host-{number}"),
        "product": PRODUCT,
        "platform": "linux-x86_64" if number % 3 else "windows-x86_64",
        "group": f"group-{number % 10}",
        "channel": "stable" if number % 5 else "beta",
        "host_name": f"host-{number}.example",
        "secret_hash": "0" * 64,
        "state": engines.WAITING if number % 100 == 50 else engines.ENROLLED,
        "version": _version(number),
        "version_at": now - timedelta(days=1),
        "enrolled": now - timedelta(days=400),
        "notes": "behind the boiler" if number % 50 == 0 else "",
    }


def _presence(number: int, *, now: datetime) -> dict[str, object]:
    return {
        "engine_id": derived_id("eng", f"host-{number}"),
        "seen": now - timedelta(hours=5 if number % 20 == 0 else 0, seconds=number % 60),
        "version": _version(number),
        "updater_version": "0.1",
        "updater_state": "IDLE",
        "health": "good",
        "seq": 1,
        "boot": "boot-1",
        "boots": json.dumps(Boots().to_dict()),
        "skipped": "[]",
        "address": f"198.51.100.{number % 250}",
        "attributes": json.dumps({"host_name": f"host-{number}.example", "os": "Linux 6.1"}),
    }


def _report(number: int, nth: int, *, now: datetime) -> dict[str, object]:
    failed = number % 10 == 3 and nth == ATTEMPTS_EACH - 1
    ended = now - timedelta(days=ATTEMPTS_EACH - nth, seconds=number)
    return {
        "engine_id": derived_id("eng", f"host-{number}"),
        "attempt": derived_id("att", f"{number}-{nth}"),
        "kind": "update",
        "outcome": "ROLLED_BACK" if failed else "OK",
        "code": "probe-failed" if failed else "ok",
        "message": "",
        "from_version": VERSIONS[0],
        "to_version": _version(number),
        "version": _version(number),
        "probed": True,
        "updater_version": "0.1",
        "steps": "[]",
        "update_log": _LINES if nth >= ATTEMPTS_EACH - 3 else "[]",
        "engine_log": _LINES if failed else "[]",
        "started": ended - timedelta(minutes=1),
        "ended": ended,
        "received": ended,
    }


def _audit(report: dict[str, object]) -> dict[str, object]:
    return {
        "at": report["received"],
        "actor": report["engine_id"],
        "action": "attempt-ended",
        "subject": report["attempt"],
        "details": json.dumps({"engine": report["engine_id"], "outcome": report["outcome"]}),
    }
