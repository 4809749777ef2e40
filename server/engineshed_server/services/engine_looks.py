"""One engine as somebody looks at it: how it stands and since when, what it gets and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.protocol import REFUSAL
from engineshed_server.db import orders
from engineshed_server.domain.decide import Decision
from engineshed_server.domain.engine_lists import Kind
from engineshed_server.domain.filters import AuditFilter
from engineshed_server.domain.fleet_counts import late_after
from engineshed_server.domain.newest import is_behind, newest_of
from engineshed_server.domain.standing import Signs, Standing, stand
from engineshed_server.services import audit, fleet, placing
from engineshed_server.services.audit import AuditEntry
from engineshed_server.services.engine_lists import BARRED
from engineshed_server.services.engines import IDLE, AttemptLine, EngineDetail, show_engine
from engineshed_server.services.portal import Portal

SHOWN_CHANGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLook:
    """One engine.

    Attributes:
        since: since when it stands so, None where that is not known.
        newest: the newest version for it. decision: what its next poll is answered, with every reason.
        versions: what it can be ordered to install, the newest first. groups, channels: where it can be put.
        last: its last attempt that was begun. changes: of its audit, the newest first.
    """

    detail: EngineDetail
    standing: Standing
    since: datetime | None
    newest: str | None
    is_behind: bool
    decision: Decision
    versions: tuple[str, ...]
    groups: tuple[str, ...]
    channels: tuple[str, ...]
    last: AttemptLine | None
    changes: tuple[AuditEntry, ...]


def look_at_engine(portal: Portal, engine_id: str, *, now: datetime) -> EngineLook:
    """Everything known of one engine.

    Raises:
        NotFound: code ``engine-unknown``.
    """
    detail = show_engine(portal, engine_id)
    line = detail.line
    changes = audit.list_audit(portal, AuditFilter(subject=engine_id), limit=SHOWN_CHANGES).entries
    candidates = portal.snapshot.current().candidates
    newest = newest_of(Kind(product=line.product, platform=line.platform, channel=line.channel), candidates)
    behind = is_behind(line.version, newest)
    last = next((one for one in detail.attempts if one.kind != REFUSAL and one.product is None), None)
    signs = Signs(
        barred=BARRED.get(line.state),
        seen=line.seen,
        late_since=now - late_after(portal.settings.poll_s),
        attempt=line.updater_state not in (None, IDLE),
        last_outcome=None if last is None else last.outcome,
        held=detail.hold_reason is not None,
        behind=behind,
    )
    standing = stand(signs)
    fitting = {
        one.target.version
        for one in candidates.get(line.product, ())
        if one.target.fits(line.platform) and not one.target.withdrawn
    }
    return EngineLook(
        detail=detail,
        standing=standing,
        since=_since(standing, detail, last, changes),
        newest=None if newest is None else newest.version.text,
        is_behind=behind,
        decision=fleet.explain(portal, engine_id, now=now),
        versions=tuple(version.text for version in sorted(fitting, reverse=True)),
        groups=tuple(one.name for one in placing.list_groups(portal)),
        channels=tuple(one.name for one in placing.list_channels(portal)),
        last=last,
        changes=changes,
    )


def _since(
    standing: Standing, detail: EngineDetail, last: AttemptLine | None, changes: tuple[AuditEntry, ...]
) -> datetime | None:
    """Since when the engine stands so, by what first said it."""
    line = detail.line
    if standing is Standing.REVOKED:
        return detail.revoked
    if standing in (Standing.WAITING, Standing.SILENT):
        return line.enrolled
    if standing is Standing.LATE:
        return line.seen
    if standing is Standing.WORKING:
        return next((one.issued for one in detail.orders if one.state == orders.OPEN), line.seen)
    if standing is Standing.REJECTED:
        actions = ("engine-rejected", "engine-approval-expired")
        return next((one.at for one in changes if one.action in actions), None)
    if standing is Standing.HELD:
        return next((one.at for one in changes if one.after and one.after.get("hold_reason")), None)
    return line.enrolled if last is None else last.received
