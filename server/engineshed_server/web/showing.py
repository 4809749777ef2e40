"""How values are shown: times, sizes, numbers. The filters of the templates, one function each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from markupsafe import Markup

from engineshed_server.api.context import now

_UNITS_BYTES = ("kB", "MB", "GB", "TB")
_SPANS_S = ((86400 * 2, 86400, "days"), (7200, 3600, "h"), (120, 60, "min"), (0, 1, "s"))

# First match wins: most call themselves by the names of others too.
_BROWSERS = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def moment(value: datetime | None, missing: str = "–") -> str | Markup:
    """A point in time: ``2026-11-24 15:07 UTC``, in its element."""
    if value is None:
        return missing
    there = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        there.isoformat(timespec="seconds"), there.strftime("%Y-%m-%d %H:%M UTC")
    )


def ago(value: datetime | None, missing: str = "never") -> str | Markup:
    """How long ago, or in how long: ``3 min ago``; the point in time shows when pointed at."""
    if value is None:
        return missing
    there = value.astimezone(UTC)
    seconds = (now() - there).total_seconds()
    word = span(abs(seconds))
    text = "just now" if abs(seconds) < 1 else f"{word} ago" if seconds > 0 else f"in {word}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        there.isoformat(timespec="seconds"), there.strftime("%Y-%m-%d %H:%M:%S UTC"), text
    )


def span(seconds: float) -> str:
    """A duration in its largest unit: ``3 min``."""
    for least, unit, word in _SPANS_S:
        if seconds >= least:
            return f"{round(seconds / unit)} {word}"
    return "0 s"


def size(count_bytes: int) -> str:
    """A size: ``25.3 MB``."""
    if count_bytes < 1000:
        return f"{count_bytes} bytes"
    value = float(count_bytes)
    for unit in _UNITS_BYTES:
        value /= 1000
        if value < 999.95 or unit == _UNITS_BYTES[-1]:
            return f"{value:.1f} {unit}"
    raise AssertionError("the last unit takes everything")


def number(value: int) -> str:
    """A count, its thousands apart: ``10 000``."""
    return f"{value:,}".replace(",", "\u202f")


def browser(user_agent: str) -> Markup:
    """A browser by what it calls itself: ``Firefox on Windows``; all it says shows when pointed at."""
    name = next((name for sign, name in _BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), None)
    text = user_agent[:60] or "unknown" if name is None else name if system is None else f"{name} on {system}"
    return Markup('<span title="{}">{}</span>').format(user_agent, text)


def options(
    words: Iterable[str], chosen: str | None = None, none: str | None = None
) -> list[tuple[str, str]]:
    """What a ``select`` offers: nothing, when *none* names that, what is *chosen*, and the *words*."""
    known = list(words)
    extra = [] if chosen is None or chosen in known else [chosen]
    nothing = [] if none is None else [("", none)]
    return nothing + [(word, word) for word in (*extra, *known)]


FILTERS = {
    "browser": browser,
    "moment": moment,
    "ago": ago,
    "span": span,
    "size": size,
    "number": number,
    "options": options,
}
