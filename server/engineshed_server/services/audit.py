"""The audit trail as people read it: who changed what, when, from where; the newest change first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.jsontext import Json
from engineshed_server.db import audit
from engineshed_server.db.audit import AuditRecord
from engineshed_server.domain.filters import AuditFilter
from engineshed_server.services.pages import number_of
from engineshed_server.services.portal import Portal


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that a change has changed; None where there was or is none."""

    name: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change.

    Attributes:
        actor: ``cli``, ``user:<name>``, ``token:<id>``, an engine's id, or the part of the portal that acts
            by itself.
        address: where the request came from, None without a network. request: its id, as in the log.
        before, after: what was changed, None where there was or is nothing.
    """

    entry: int
    at: datetime
    actor: str
    address: str | None
    request: str | None
    action: str
    subject: str
    details: Mapping[str, Json]
    before: Mapping[str, Json] | None
    after: Mapping[str, Json] | None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What of ``before`` is not the same in ``after``, by name."""
        before, after = self.before or {}, self.after or {}
        found = (Difference(name, before.get(name), after.get(name)) for name in sorted({*before, *after}))
        return tuple(one for one in found if one.before != one.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Some changes; ``after`` is the place of the last one, None on the last page."""

    entries: tuple[AuditEntry, ...]
    after: str | None


def list_audit(portal: Portal, wanted: AuditFilter, *, limit: int, after: str | None = None) -> AuditPage:
    """A page of the changes that *wanted* lets through; *after* is that of the page before.

    Raises:
        Refused: code ``page-place``.
    """
    before_id = None if after is None else number_of(after)
    with portal.database.read() as session:
        found = audit.page_audit(session, wanted, limit=limit + 1, before_id=before_id)
    page = tuple(_entry(record) for record in found[:limit])
    return AuditPage(entries=page, after=str(page[-1].entry) if len(found) > limit else None)


def list_recent(portal: Portal, *, without: Sequence[str], limit: int) -> tuple[AuditEntry, ...]:
    """The newest changes, but for some actions."""
    with portal.database.read() as session:
        return tuple(map(_entry, audit.list_recent(session, without=without, limit=limit)))


def _entry(record: AuditRecord) -> AuditEntry:
    return AuditEntry(
        entry=record.id,
        at=record.at,
        actor=record.actor.name,
        address=record.actor.address,
        request=record.actor.request,
        action=record.action,
        subject=record.subject,
        details=json.loads(record.details),
        before=None if record.before is None else json.loads(record.before),
        after=None if record.after is None else json.loads(record.after),
    )
