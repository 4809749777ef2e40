"""Processes whose clock is wrong: Debian's libfaketime, so that nothing of ours has to know."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import require


def clock_at(what: str) -> dict[str, str]:
    """The environment in which the clock says *what*: ``+4y``, or ``@1970-01-02 00:00:00``.

    The other clock, by which deadlines and pauses go, is shifted too, and runs as it should: libfaketime
    breaks Python's sleep when it leaves that one alone.
    """
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    require(bool(found), "libfaketime is not installed")
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": what, "TZ": "UTC"}
