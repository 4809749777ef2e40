"""An upload from its first byte to its outcome: the states, and how much disk it may still ask for.

    created ──► complete ──► ingesting ──► done
                    ▲            │    └──► failed
                    └────────────┘ the disk is full, another bundle is being ingested: later again

It is ``created`` while bytes are missing, ``complete`` when all are durable. Nobody has to ask for the
ingest: what is complete is taken in. ``done`` and ``failed`` are final; the file is gone, the outcome can be
asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

CREATED = "created"
COMPLETE = "complete"
INGESTING = "ingesting"
DONE = "done"
FAILED = "failed"

OPEN = (CREATED, COMPLETE, INGESTING)
WAITING = (COMPLETE, INGESTING)  # the latter when the process that was at it is gone

LIFE = timedelta(hours=24)  # from the last byte that came, and again from the outcome
MAX_TRIES = 3  # times a process may die while it takes one upload in
RETRY = timedelta(seconds=5)  # until another process takes over from one that died


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploader:
    """Whose an upload is: an API token's, or a person's.

    Attributes:
        token_id, user_name: one of the two, the other is None.
        sees_all: whether he may also see, continue and end what others have begun.
    """

    token_id: str | None = None
    user_name: str | None = None
    sees_all: bool = False

    def owns(self, token_id: str | None, user_name: str | None) -> bool:
        """Whether an upload with that owner is his."""
        return (self.token_id, self.user_name) == (token_id, user_name)


def missing_space_bytes(length_bytes: int, *, reserved_bytes: int, free_bytes: int, keep_bytes: int) -> int:
    """How much disk is missing for another upload of *length_bytes*; 0 when it fits.

    An upload needs its length twice: for the file, and for the packages that ingest copies out of it.

    Args:
        reserved_bytes: what the open uploads may still write, by the same rule.
        keep_bytes: what must stay free for the rest of the portal.
    """
    return max(0, 2 * length_bytes + reserved_bytes + keep_bytes - free_bytes)
