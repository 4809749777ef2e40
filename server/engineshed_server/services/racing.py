"""Running a use case again when another transaction took the same row first.

On SQLite writers exclude each other, and this never happens; on PostgreSQL and MariaDB two may get to a
unique row at once. Nothing was written by the one that came second: it looks again, and sees the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from engineshed_server.errors import Raced

TRIES = 3

Result = TypeVar("Result")


def run_again_when_raced(use_case: Callable[[], Result]) -> Result:
    """Call *use_case*, at most ``TRIES`` times; each call opens a transaction of its own.

    Raises:
        Raced: it lost every time.
    """
    for _ in range(TRIES - 1):
        try:
            return use_case()
        except Raced:
            continue
    return use_case()
