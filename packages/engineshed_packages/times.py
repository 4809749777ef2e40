"""Points in time on the wire and on disk: RFC 3339, UTC, whole seconds, written with ``Z``.

Source: RFC 3339, section 5.6; the profile here has no offset but ``Z`` and no fraction when written.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from engineshed_packages.errors import ProtocolRefused

_RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|\+00:00)", re.ASCII)


def format_time(moment: datetime) -> str:
    """Write an aware *moment* as ``2026-11-22T08:00:00Z``, fractions cut off.

    Raises:
        ValueError: *moment* has no time zone; that is a bug of the caller.
    """
    if moment.tzinfo is None:
        raise ValueError(f"expected an aware datetime, found the naive {moment!r}")
    # Not strftime: Linux writes the year 1 as "1", which nothing reads back.
    return f"{moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()}Z"


def parse_time(text: object) -> datetime:
    """Read an RFC 3339 time in UTC; a fraction of a second is dropped.

    Raises:
        ProtocolRefused: code ``time-unreadable``.
    """
    if not isinstance(text, str) or not _RFC3339_UTC.fullmatch(text):
        raise ProtocolRefused(
            "time-unreadable", f"found {str(text)[:40]!r}, expected a UTC time such as 2026-11-22T08:00:00Z"
        )
    try:
        return datetime.fromisoformat(text[:19].upper()).replace(tzinfo=UTC)
    except ValueError as err:
        raise ProtocolRefused("time-unreadable", f"{text!r} is no existing date and time") from err
