"""The id of the request that this thread is answering.

Apart from the rest of the api, because every log line wants it and the processes that write logs should
not have to load a web framework for that.
"""

from __future__ import annotations

import re
from contextvars import ContextVar

from engineshed_packages.ids import new_id

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_current: ContextVar[str | None] = ContextVar("engineshed_request_id", default=None)


def begin_request(sent: str | None) -> None:
    """Give the request its id: the one the client *sent* when that is a sane one, else a new one."""
    _current.set(sent if sent is not None and _SANE.fullmatch(sent) else new_id("req"))


def end_request() -> None:
    """Forget the id: the thread serves another request next."""
    _current.set(None)


def request_id() -> str | None:
    """The id of the request this thread is answering, or None outside of one."""
    return _current.get()
