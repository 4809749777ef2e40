"""Releases, engines and decisions as JSON objects: the same in HTTP answers and behind ``--json``."""

from __future__ import annotations

from datetime import datetime

from engineshed_packages.jsontext import Json
from engineshed_packages.metadata import NotesFile
from engineshed_packages.target import Target
from engineshed_packages.times import format_time
from engineshed_server.domain.decide import Decision
from engineshed_server.services.engines import AttemptLine, EngineDetail, EngineLine, OrderLine
from engineshed_server.services.ingest import Ingested
from engineshed_server.services.releases import Release


def _time_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def release_values(release: Release) -> dict[str, Json]:
    """One release with its packages and notes; ``notes`` is null when none are here."""
    packages: list[Json] = [
        _package_values(target, sha1) for target, sha1 in zip(release.targets, release.sha1, strict=True)
    ]
    return {
        "product": release.product,
        "version": release.version,
        "published": format_time(release.published),
        "held": release.held,
        "packages": packages,
        "notes": None if release.notes is None else _notes_values(release.notes),
    }


def _notes_values(notes: NotesFile) -> dict[str, Json]:
    return {
        "path": notes.path,
        "download_name": notes.download_name,
        "length": notes.length_bytes,
        "sha256": notes.sha256,
    }


def _package_values(target: Target, sha1: str) -> dict[str, Json]:
    return {
        "path": target.path,
        "download_name": target.download_name,
        "platform": target.platform,
        "length": target.length_bytes,
        "sha256": target.sha256,
        "sha1": sha1,
        "channel": target.channel,
        "severity": target.severity,
        "mode": target.mode,
        "min_version": None if target.min_version is None else target.min_version.text,
        "floor": None if target.floor is None else target.floor.text,
        "withdrawn": target.withdrawn,
        "message": target.message,
    }


def engine_values(engine: EngineLine) -> dict[str, Json]:
    """One engine as a list shows it; what it last said of itself is absent until its first poll."""
    return {
        "engine": engine.engine_id,
        "product": engine.product,
        "platform": engine.platform,
        "group": engine.group,
        "channel": engine.channel,
        "host_name": engine.host_name,
        "version": engine.version,
        "state": engine.state,
        "enrolled": format_time(engine.enrolled),
        "seen": _time_or_none(engine.seen),
        "updater_state": engine.updater_state,
        "updater_version": engine.updater_version,
        "health": engine.health,
        "two_hosts": engine.two_hosts,
    }


def engine_detail_values(detail: EngineDetail) -> dict[str, Json]:
    """One engine with its last attempts and orders."""
    attempts: list[Json] = [_attempt_values(one) for one in detail.attempts]
    orders: list[Json] = [_order_values(one) for one in detail.orders]
    return {
        **engine_values(detail.line),
        "attributes": None if detail.attributes is None else detail.attributes.to_dict(),
        "attempts": attempts,
        "orders": orders,
    }


def _attempt_values(attempt: AttemptLine) -> dict[str, Json]:
    return {
        "attempt": attempt.attempt,
        "order": attempt.order,
        "outcome": attempt.outcome,
        "code": attempt.code,
        "message": attempt.message,
        "from": attempt.from_version,
        "to": attempt.to_version,
        "version": attempt.version,
        "started": format_time(attempt.started),
        "ended": format_time(attempt.ended),
        "received": format_time(attempt.received),
        "update_log": list(attempt.update_log),
        "engine_log": list(attempt.engine_log),
    }


def _order_values(order: OrderLine) -> dict[str, Json]:
    return {
        "order": order.order,
        "seq": order.seq,
        "do": order.do,
        "version": order.version,
        "state": order.state,
        "issued": format_time(order.issued),
        "answer": order.answer,
    }


def decision_values(decision: Decision) -> dict[str, Json]:
    """What the portal would answer an engine, and every reason."""
    reasons: list[Json] = [{"code": reason.code, "text": reason.text} for reason in decision.reasons]
    return {
        "code": decision.code,
        "text": decision.text,
        "version": None if decision.target is None else decision.target.version.text,
        "path": None if decision.target is None else decision.target.path,
        "reasons": reasons,
    }


def ingested_values(done: Ingested) -> dict[str, Json]:
    """What one bundle changed."""
    releases: list[Json] = [
        {"product": one.product, "version": one.version, "platforms": list(one.platforms)}
        for one in done.releases
    ]
    return {
        "code": done.code,
        "releases": releases,
        "added_metadata": done.added_metadata,
        "notices": list(done.notices),
    }
