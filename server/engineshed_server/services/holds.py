"""Holding a release back, and letting it go: in force in every process within one second.

A release on hold is not offered, and an order for it is not sent: also an engine that has accepted one and
has not stopped yet turns back when it polls once more. To try it on chosen engines all the same, an order
says ``although_held``.
"""

from __future__ import annotations

from datetime import datetime

from engineshed_packages.versions import Version
from engineshed_server.db import portal as portal_rows
from engineshed_server.db import releases as release_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.services.portal import Portal
from engineshed_server.services.reasons import check_reason
from engineshed_server.services.releases import show_release


def hold_release(
    portal: Portal, product: str, *, version: str, reason: str, actor: Actor, now: datetime
) -> bool:
    """Keep a release back; false when it was on hold already, then with the reason it had.

    Raises:
        NotFound: code ``release-unknown``. Refused: code ``reason-unreadable``.
    """
    return _set(portal, product, version=version, hold=True, reason=reason, actor=actor, now=now)


def unhold_release(
    portal: Portal, product: str, *, version: str, reason: str, actor: Actor, now: datetime
) -> bool:
    """Let a release go again; false when it was not on hold.

    Raises:
        NotFound, Refused: as ``hold_release``.
    """
    return _set(portal, product, version=version, hold=False, reason=reason, actor=actor, now=now)


def _set(
    portal: Portal, product: str, *, version: str, hold: bool, reason: str, actor: Actor, now: datetime
) -> bool:
    why = check_reason(reason)
    release = show_release(portal, product, version=version)
    with portal.database.write() as session:
        changed = release_rows.set_hold(
            session, product, version=Version.parse(release.version), reason=why if hold else None
        )
        if changed:
            portal_rows.bump_generation(session)
            add_audit(
                session,
                "release-held" if hold else "release-let-go",
                subject=f"{product} {release.version}",
                actor=actor,
                now=now,
                details={"reason": why},
                before={"held": not hold, "hold_reason": release.hold_reason},
                after={"held": hold, "hold_reason": why if hold else None},
            )
    portal.snapshot.refresh()
    return changed
