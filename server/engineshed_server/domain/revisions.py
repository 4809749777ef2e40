"""Lost updates prevented: an edit says which revision it was made from (RFC 9110, section 13.1.1).

Each thing that can be edited counts its edits. Who edits names the revision it has seen; the UPDATE is
guarded by it, so that of two editors the second is told, instead of undoing unseen what the first one did.
"""

from __future__ import annotations

from dataclasses import dataclass

from engineshed_server.errors import Outdated


@dataclass(frozen=True, slots=True)
class Expected:
    """The revisions an edit may start from; None: whichever is there, as a local command says."""

    revisions: frozenset[int] | None

    def check(self, found: int, *, what: str) -> None:
        """Return when *found* is one of them.

        Raises:
            Outdated: code ``revision-outdated``.
        """
        if self.revisions is not None and found not in self.revisions:
            raise Outdated(
                "revision-outdated",
                f"{what} has been changed since it was read: read it anew, then send the change with its new "
                "ETag in If-Match",
            )


ANY_REVISION = Expected(None)
