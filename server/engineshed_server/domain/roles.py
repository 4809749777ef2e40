"""What people may do on the pages: three roles, each of which may all that the one before it may.

``viewer`` looks; ``admin`` also changes what is about engines and releases; ``owner`` also decides who the
people are. API tokens have scopes instead (``services.api_tokens``).
"""

from __future__ import annotations

import re
from enum import StrEnum

from engineshed_server.errors import Refused

MAX_NAME_CHARS = 64
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)


class Role(StrEnum):
    """What a person may do, the least first."""

    VIEWER = "viewer"
    ADMIN = "admin"
    OWNER = "owner"

    def covers(self, needed: Role) -> bool:
        """Whether who has this role may do what *needed* may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


def check_user_name(text: str) -> str:
    """*text* as the name somebody logs in with: 1 to 64 of a-z, 0-9 and inner ``. _ -``.

    Upper case is taken for lower case; spaces around it are dropped.

    Raises:
        Refused: code ``user-name``.
    """
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise Refused(
            "user-name", f"{text[:80]!r} names no user: expected a-z, 0-9 and inner . _ -, at most 64"
        )
    return name
