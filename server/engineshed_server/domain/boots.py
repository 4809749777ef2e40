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

from engineshed_packages.jsontext import Fields, Json, without_absent
from engineshed_packages.times import format_time

REMEMBERED = timedelta(hours=1)
MAX_BOOTS = 64  # of one machine image, as many hosts as may have been made; what is over is forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One start of an updater: its nonce, when it polled first and last, and on which host that was.

    Attributes:
        host_name: as it called its host at first, None when it did not. address: of its first poll.
        first_turn, last_turn: when that was, counted in changes from one start to another: copies of a
            host are started in the same second, and times are written down in whole ones.
    """

    nonce: str
    first: datetime
    last: datetime
    host_name: str | None = None
    address: str | None = None
    first_turn: int = 0
    last_turn: int = 0


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

    def after(
        self, nonce: str, *, now: datetime, host_name: str | None = None, address: str | None = None
    ) -> Boots:
        """What is known once *nonce* has polled at *now*; the host is the one it named first."""
        others = tuple(boot for boot in self.recent if boot.nonce != nonce and now - boot.last < REMEMBERED)
        turn = self._turn(nonce)
        new = Boot(nonce=nonce, first=now, last=now, host_name=host_name, address=address, first_turn=turn)
        known = next((boot for boot in self.recent if boot.nonce == nonce), new)
        # The other was there before this one, and came back between this one's polls.
        crosses = any(boot.first_turn < known.first_turn < boot.last_turn for boot in others)
        return Boots(
            recent=(*others[1 - MAX_BOOTS :], replace(known, last=now, last_turn=turn)),
            crossed=now if crosses else self.crossed,
        )

    def _turn(self, nonce: str) -> int:
        """Of a poll of *nonce* that comes now: the next one when another start polled last."""
        if not self.recent:
            return 0
        last = self.recent[-1]
        return last.last_turn + (last.nonce != nonce)

    def hosts(self) -> tuple[Boot, ...]:
        """The hosts that polled, as far as name and address tell them apart; who polled last stands last.

        Of one host's starts the last one stands for all. Copies of a machine behind one address look alike.
        """
        found: dict[tuple[str | None, str | None], Boot] = {}
        for boot in self.recent:
            before = found.pop((boot.host_name, boot.address), boot)
            found[(boot.host_name, boot.address)] = replace(boot, first=min(before.first, boot.first))
        return tuple(found.values())

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
                Boot(
                    nonce=one.text("nonce"),
                    first=one.time("first"),
                    last=one.time("last"),
                    host_name=one.text_or_none("host_name"),
                    address=one.text_or_none("address"),
                    first_turn=one.integer("first_turn", default=0),
                    last_turn=one.integer("last_turn", default=0),
                )
                for one in recent
            ),
            crossed=fields.time_or_none("crossed"),
        )

    def to_dict(self) -> dict[str, Json]:
        """The JSON object; times in whole seconds."""
        recent: list[Json] = [
            without_absent(
                {
                    "nonce": boot.nonce,
                    "first": format_time(boot.first),
                    "last": format_time(boot.last),
                    "host_name": boot.host_name,
                    "address": boot.address,
                    "first_turn": boot.first_turn,
                    "last_turn": boot.last_turn,
                }
            )
            for boot in self.recent
        ]
        return {
            "recent": recent,
            "crossed": None if self.crossed is None else format_time(self.crossed),
        }
