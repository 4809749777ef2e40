"""How groups are called: the customer's own order among its engines."""

from __future__ import annotations

import re

from engineshed_server.errors import Refused

MAX_GROUP_CHARS = 64
GROUP_PATTERN = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_GROUP = re.compile(GROUP_PATTERN, re.ASCII)


def check_group(text: str) -> str:
    """Return *text* when it can name a group: 1 to 64 of a-z, 0-9 and inner ``. _ -``.

    Raises:
        Refused: code ``group-name``.
    """
    if not _GROUP.fullmatch(text):
        raise Refused("group-name", f"{text[:80]!r} names no group: expected a-z, 0-9 and inner . _ -")
    return text
