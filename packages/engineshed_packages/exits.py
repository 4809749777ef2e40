"""Exit codes shared by the three commands, with the words that ``--help`` prints.

The numbers 65 to 78 are those of BSD ``sysexits.h``; 80 and 81 are ours.
"""

from __future__ import annotations

from collections.abc import Iterable

DONE = 0
FAILED = 1
USAGE = 2
BAD_CONTENT = 65
UNREACHABLE = 69
CANNOT_CREATE = 73
IO_ERROR = 74
TRY_LATER = 75
REFUSED = 77
CONFIGURATION = 78
ROLLED_BACK = 80
BROKEN = 81
START_AGAIN = 88
UPDATE_AVAILABLE = 100

MEANING = {
    DONE: "done, or already up to date",
    FAILED: "failed",
    USAGE: "wrong usage",
    BAD_CONTENT: "bad signature or digest",
    UNREACHABLE: "server not reachable",
    CANNOT_CREATE: "cannot create a file",
    IO_ERROR: "input or output error, disk full",
    TRY_LATER: "try later: locked, outside the window, or the server asks to wait",
    REFUSED: "refused: token, licence or order",
    CONFIGURATION: "configuration",
    ROLLED_BACK: "rolled back after failed health",
    BROKEN: "the way back failed too",
    START_AGAIN: "run: the launcher is to start another version (Windows)",
    UPDATE_AVAILABLE: "check: an update is available",
}


def describe(codes: Iterable[int]) -> str:
    """The lines of ``--help`` for *codes*, one a line, aligned."""
    return "\n".join(f"  {code:>3}  {MEANING[code]}" for code in codes)
