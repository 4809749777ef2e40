"""The event log of this Windows host, by ``advapi32``; type-checked, and not run by this project's tests."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

assert sys.platform == "win32", "imported where there is an event log"

from ctypes import wintypes  # noqa: E402  # cannot be imported everywhere else

_SOURCE: Final = "engineshed-client"
_EVENT_ID: Final = 1


def report_event(kind: int, line: str) -> None:
    """Add *line* to the log of applications; *kind* is 1 for an error, 2 for a warning, 4 for information."""
    library = ctypes.WinDLL("advapi32", use_last_error=True)
    library.RegisterEventSourceW.restype = wintypes.HANDLE
    source = library.RegisterEventSourceW(None, _SOURCE)
    if not source:
        return  # no log is no reason not to update
    texts = (wintypes.LPCWSTR * 1)(line)
    try:
        library.ReportEventW(wintypes.HANDLE(source), kind, 0, _EVENT_ID, None, 1, 0, texts, None)
    finally:
        library.DeregisterEventSource(wintypes.HANDLE(source))
