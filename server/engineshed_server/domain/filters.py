"""Which items of a list are wanted: those with exactly these words; None: with any."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFilter:
    """Which engines are wanted."""

    product: str | None = None
    state: str | None = None
    group: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which changes are wanted."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None


EVERY_ENGINE = EngineFilter()
