"""Which items of a list are wanted: those with exactly these words; None: with any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFilter:
    """Which engines are wanted."""

    product: str | None = None
    state: str | None = None
    group: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which changes are wanted.

    Attributes:
        subject: an engine's id stands for its orders and attempts too.
        since, until: not older than the one, older than the other.
    """

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERY_ENGINE = EngineFilter()
