"""When a schedule is due: a pure rule over cron expressions and intervals, in the zone of the admin's clock.

    timing = read_timing("30 2 * * *", zone="Europe/Paris")
    timing.next_after(moment)       # the next slot, an instant
    timing.newest_slot(since, now)  # of several that were missed, the one that is caught up

A slot is an instant: it is what makes two runs the same run, whoever starts them. What falls into an hour
that the clock skips is run at the end of the gap, what falls into one that it shows twice is run once: as
Debian's cron does (cron(8)).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from engineshed_server.errors import Refused

MAX_TIMING_CHARS = 100
LEAST_INTERVAL = timedelta(minutes=1)
LONGEST_INTERVAL = timedelta(days=366)
_INTERVAL = re.compile(r"every ([1-9]\d{0,6}) ?(min|h|d)", re.ASCII)
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIDNIGHT = datetime(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Timing:
    """A cron expression or an interval, and the zone in which the former is read.

    Attributes:
        text: as the admin wrote it: five fields of cron, or ``every 30 min``, ``every 6 h``, ``every 1 d``.
        interval: None for cron. Intervals are counted from 1970, so that every node finds the same slots.
    """

    text: str
    zone: ZoneInfo
    interval: timedelta | None

    def next_after(self, moment: datetime) -> datetime:
        """The first slot after *moment*, in UTC."""
        if self.interval is not None:
            passed = (moment - _EPOCH) // self.interval
            return _EPOCH + (passed + 1) * self.interval
        return next(CronSim(self.text, moment.astimezone(self.zone))).astimezone(UTC)

    def newest_slot(self, first: datetime, now: datetime) -> datetime:
        """The last slot from *first*, itself one, up to *now*: the one of all that were missed."""
        if self.interval is not None:
            return max(first, _EPOCH + (now - _EPOCH) // self.interval * self.interval)
        newest = next(CronSim(self.text, (now + timedelta(seconds=1)).astimezone(self.zone), reverse=True))
        return max(first, newest.astimezone(UTC))


def read_timing(text: str, *, zone: str) -> Timing:
    """The timing that *text* tells.

    Raises:
        Refused: ``zone-unknown`` or ``timing-unreadable``.
    """
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as err:
        raise Refused(
            "zone-unknown",
            f"found the time zone {zone[:60]!r}, expected a name of the IANA list as Europe/Paris",
        ) from err
    found = _INTERVAL.fullmatch(text)
    if found is not None:
        interval = int(found[1]) * _UNITS[found[2]]
        if not LEAST_INTERVAL <= interval <= LONGEST_INTERVAL:
            raise _unreadable(text)
        return Timing(text, place, interval)
    try:
        # Six fields would have seconds; nothing here is done every second.
        if len(text) > MAX_TIMING_CHARS or len(text.split()) != 5:
            raise _unreadable(text)
        CronSim(text, _MIDNIGHT)
    except CronSimError as err:
        raise _unreadable(text) from err
    return Timing(text, place, None)


def _unreadable(text: str) -> Refused:
    return Refused(
        "timing-unreadable",
        f"found {text[:60]!r}, expected five fields of cron as 30 2 * * * (at 02:30 each day), "
        "or an interval of a minute to a year as every 30 min, every 6 h, every 1 d",
    )
