"""Holding a release back, and letting it go: in force in every process within one second.

A release on hold is not offered, and an order for it is not sent: also an engine that has accepted one and
has not stopped yet turns back when it polls once more. To try it on chosen engines all the same, an order
says ``although_held``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.versions import Version
from engineshed_server.db import portal as portal_rows
from engineshed_server.db import releases as release_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.revisions import ANY_REVISION, Expected
from engineshed_server.services.portal import Portal
from engineshed_server.services.reasons import check_reason
from engineshed_server.services.releases import show_release


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldChange:
    """Whether a release is to be held back, and why.

    Raises:
        Refused: code ``reason-unreadable``.
    """

    held: bool
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", check_reason(self.reason))


def change_hold(
    portal: Portal,
    product: str,
    *,
    version: str,
    change: HoldChange,
    actor: Actor,
    now: datetime,
    expected: Expected = ANY_REVISION,
) -> bool:
    """Carry out *change* when the release is at an *expected* revision; false when it was so already.

    Raises:
        NotFound: code ``release-unknown``. Outdated: code ``revision-outdated``.
    """
    release = show_release(portal, product, version=version)
    subject, wanted = f"{product} {release.version}", Version.parse(release.version)
    after = change.reason if change.held else None
    with portal.database.write() as session:
        hold = release_rows.lock_hold(session, product, version=wanted)
        assert hold is not None  # releases are never deleted
        expected.check(hold.revision, what=f"release {subject}")
        if not release_rows.set_hold(session, product, version=wanted, reason=after):
            return False
        portal_rows.bump_generation(session)
        add_audit(
            session,
            "release-held" if change.held else "release-let-go",
            subject=subject,
            actor=actor,
            now=now,
            details={"reason": change.reason},
            before={"held": hold.held, "hold_reason": hold.reason},
            after={"held": change.held, "hold_reason": after},
        )
    portal.snapshot.refresh()
    return True
