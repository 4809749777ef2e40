"""Rows for the tests of the database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from engineshed_packages.ids import derived_id
from engineshed_server.db import engines, orders

NOW = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)


def engine_record(name: str = "one", **changes: object) -> engines.EngineRecord:
    record = engines.EngineRecord(
        engine_id=derived_id("eng", name),
        product="manager",
        platform="linux-x86_64",
        group="default",
        channel="stable",
        host_name="host",
        secret_hash="0" * 64,
        state=engines.ENROLLED,
        version="1.0",
        version_at=NOW,
        enrolled=NOW,
        revoked=None,
        presence=None,
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # fields by name


def presence_record(name: str = "one", **changes: object) -> engines.Presence:
    presence = engines.Presence(
        engine_id=derived_id("eng", name),
        seen=NOW,
        version="1.0",
        measured_version=None,
        updater_version="0.1",
        updater_state="IDLE",
        attempt=None,
        health="good",
        seq=0,
        boot="boot",
        skipped="[]",
        attributes=None,
    )
    return replace(presence, **changes)  # type: ignore[arg-type]  # fields by name


def order_record(name: str = "one", **changes: object) -> orders.OrderRecord:
    record = orders.OrderRecord(
        order_id=derived_id("ord", name),
        engine_id=derived_id("eng", "one"),
        keyid="k" * 64,
        seq=1,
        do="install",
        version="1.1",
        sha256="a" * 64,
        state=orders.OPEN,
        envelope="{}",
        issued=NOW,
        accept_before=NOW,
        closed=None,
        answer=None,
    )
    return replace(record, **changes)  # type: ignore[arg-type]  # fields by name
