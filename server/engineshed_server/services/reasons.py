"""Why an administrator holds, stops or orders something: one line that others will read."""

from __future__ import annotations

from engineshed_packages.jsontext import escape_controls
from engineshed_server.errors import Refused

MAX_REASON_CHARS = 500


def check_reason(text: str) -> str:
    """Return *text* without the blanks around it.

    Raises:
        Refused: code ``reason-unreadable``: it is empty, too long or not one line of plain text.
    """
    reason = text.strip()
    if not reason or len(reason) > MAX_REASON_CHARS or escape_controls(reason) != reason:
        raise Refused(
            "reason-unreadable",
            f"found the reason {reason[:60]!r}, expected one line of plain text with 1 to "
            f"{MAX_REASON_CHARS} characters: those who come later will ask",
        )
    return reason
