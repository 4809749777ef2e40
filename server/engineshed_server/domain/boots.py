"""Two hosts on one identity, seen in the nonces that polls carry: a pure rule.

Every start of an updater draws a nonce. Nonces of one host follow each other: the second begins where the
first ends, or, when an administrator runs a command beside the service, lies between two polls of the
first. Only the nonces of two hosts that were copied from each other cross: A, B, A again, B again.

    boots = boots.after(nonce, now=now)        # at each poll
    boots.two_hosts                           # while the last crossing is not an hour ago

Whoever polls less than twice in ``REMEMBERED`` is not found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from engineshed_packages.jsontext import Fields, Json
from engineshed_packages.times import format_time

REMEMBERED = timedelta(hours=1)
MAX_BOOTS = 64  # of one machine image, as many hosts as may have been made; what is over is forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One start of an updater: its nonce, and when it polled first and last."""

    nonce: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Boots:
    """The starts that polled as one engine within an hour before its last poll.

    Attributes:
        recent: the one that polled last stands last.
        crossed: when two of them were last seen to cross, None when they never did.
    """

    recent: tuple[Boot, ...] = ()
    crossed: datetime | None = None

    @property
    def two_hosts(self) -> bool:
        """Whether more than one host polls with this identity."""
        if self.crossed is None or not self.recent:
            return False
        return self.recent[-1].last - self.crossed < REMEMBERED

    def after(self, nonce: str, *, now: datetime) -> Boots:
        """What is known once *nonce* has polled at *now*."""
        others = tuple(boot for boot in self.recent if boot.nonce != nonce and now - boot.last < REMEMBERED)
        known = next((boot for boot in self.recent if boot.nonce == nonce), None)
        first = now if known is None else known.first
        # The other was there before this one, and came back between this one's polls.
        crosses = any(boot.first < first < boot.last for boot in others)
        return Boots(
            recent=(*others[1 - MAX_BOOTS :], Boot(nonce=nonce, first=first, last=now)),
            crossed=now if crosses else self.crossed,
        )

    def polled(self, seen: datetime) -> Boots:
        """The same, when the start that polled last did so again until *seen*."""
        if not self.recent or self.recent[-1].last >= seen:
            return self
        return replace(self, recent=(*self.recent[:-1], replace(self.recent[-1], last=seen)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Json]) -> Boots:
        """Read what ``to_dict`` wrote."""
        fields = Fields(values, "boots")
        recent = (Fields(item, "boot") for item in fields.objects("recent", max_items=MAX_BOOTS))
        return cls(
            recent=tuple(
                Boot(nonce=one.text("nonce"), first=one.time("first"), last=one.time("last"))
                for one in recent
            ),
            crossed=fields.time_or_none("crossed"),
        )

    def to_dict(self) -> dict[str, Json]:
        """The JSON object; times in whole seconds."""
        recent: list[Json] = [
            {"nonce": boot.nonce, "first": format_time(boot.first), "last": format_time(boot.last)}
            for boot in self.recent
        ]
        return {
            "recent": recent,
            "crossed": None if self.crossed is None else format_time(self.crossed),
        }
