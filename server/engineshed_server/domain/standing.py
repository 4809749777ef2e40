"""How an engine stands, in one word: the one that somebody who looks at it should read first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engineshed_packages.protocol import Outcome

FAILING = (Outcome.ABORTED.value, Outcome.ROLLED_BACK.value, Outcome.BROKEN.value)


class Standing(StrEnum):
    """From what must be seen to first to what needs nobody."""

    REVOKED = "revoked"
    REJECTED = "rejected"
    WAITING = "waiting"
    SILENT = "silent"
    LATE = "late"
    WORKING = "at work"
    FAILED = "failed"
    HELD = "on hold"
    BEHIND = "behind"
    GOOD = "up to date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What is known of an engine.

    Attributes:
        barred: ``waiting``, ``rejected`` or ``revoked``; None for one that is enrolled.
        seen: its last poll. late_since: who was not heard of since then is late.
        attempt: it works on one. last_outcome: of its last attempt that ended, refusals left out.
    """

    barred: Standing | None
    seen: datetime | None
    late_since: datetime
    attempt: bool
    last_outcome: str | None
    held: bool
    behind: bool


def stand(signs: Signs) -> Standing:
    """The first word that fits."""
    if signs.barred is not None:
        return signs.barred
    if signs.seen is None:
        return Standing.SILENT
    if signs.seen < signs.late_since:
        return Standing.LATE
    if signs.attempt:
        return Standing.WORKING
    if signs.last_outcome in FAILING:
        return Standing.FAILED
    if signs.held:
        return Standing.HELD
    return Standing.BEHIND if signs.behind else Standing.GOOD
