"""The queue of engines that wait for approval: an admin approves or rejects, many at once when he likes.

In force in every process within one second. A rejected engine may still be approved: its updater goes on
asking, ever more seldom. Who was not approved in time is rejected by the portal itself, so that a token
that went astray leaves no identities about that nobody remembers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engineshed_server.db import engines
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import Conflict, NotFound, Refused
from engineshed_server.services.portal import Portal

MAX_AT_ONCE = 1000
PORTAL = Actor("portal")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What is decided: from which states, to which, and its name in the audit."""

    sources: tuple[str, ...]
    state: str
    action: str


_APPROVED = _Verdict(
    sources=(engines.WAITING, engines.REJECTED), state=engines.ENROLLED, action="engine-approved"
)
_REJECTED = _Verdict(sources=(engines.WAITING,), state=engines.REJECTED, action="engine-rejected")
_FORGOTTEN = _Verdict(sources=(engines.WAITING,), state=engines.REJECTED, action="engine-approval-expired")


def approve_engines(
    portal: Portal, engine_ids: Iterable[str], *, actor: Actor, now: datetime
) -> tuple[str, ...]:
    """Let engines in that wait, or were rejected; the ids of those that were not in before. All or none.

    Raises:
        NotFound: code ``engine-unknown``.
        Conflict: code ``engine-state``: one is revoked.
        Refused: code ``engines-too-many``.
    """
    return _decide(portal, engine_ids, _APPROVED, actor=actor, now=now)


def reject_engines(
    portal: Portal, engine_ids: Iterable[str], *, actor: Actor, now: datetime
) -> tuple[str, ...]:
    """Refuse engines that wait; the ids of those that waited. All or none.

    Raises:
        NotFound, Refused: as ``approve_engines``.
        Conflict: code ``engine-state``: one is enrolled or revoked.
    """
    return _decide(portal, engine_ids, _REJECTED, actor=actor, now=now)


def reject_forgotten(portal: Portal, *, now: datetime) -> int:
    """Reject those who have waited longer than the settings allow; how many there were."""
    before = now - timedelta(seconds=portal.settings.approval_s)
    with portal.database.read() as session:
        forgotten = engines.list_waiting(session, enrolled_before=before, limit=MAX_AT_ONCE)
    if not forgotten:
        return 0
    with portal.database.write() as session:
        moved = [one for one in forgotten if _move(session, one, _FORGOTTEN, actor=PORTAL, now=now)]
        if moved:
            portal_rows.bump_generation(session)
    portal.snapshot.refresh()
    return len(moved)


def _decide(
    portal: Portal, engine_ids: Iterable[str], verdict: _Verdict, *, actor: Actor, now: datetime
) -> tuple[str, ...]:
    # In one order, so that two admins who decide on the same engines do not block each other.
    wanted = sorted(set(engine_ids))
    if len(wanted) > MAX_AT_ONCE:
        raise Refused(
            "engines-too-many", f"found {len(wanted)} engines, at most {MAX_AT_ONCE} are decided on at once"
        )
    with portal.database.write() as session:
        _check(session, wanted, verdict)
        moved = tuple(one for one in wanted if _move(session, one, verdict, actor=actor, now=now))
        if moved:
            portal_rows.bump_generation(session)
    portal.snapshot.refresh()
    return moved


def _check(session: Session, wanted: Sequence[str], verdict: _Verdict) -> None:
    states = engines.states_of(session, wanted)
    for engine_id in wanted:
        state = states.get(engine_id)
        if state is None:
            raise NotFound(
                "engine-unknown",
                f"there is no engine {engine_id[:40]!r}: nothing was changed, see the list of engines",
            )
        if state not in (*verdict.sources, verdict.state):
            expected = " or ".join(verdict.sources)
            message = f"engine {engine_id} is {state}, expected {expected}; nothing was changed"
            raise Conflict("engine-state", message)


def _move(session: Session, engine_id: str, verdict: _Verdict, *, actor: Actor, now: datetime) -> bool:
    for source in verdict.sources:
        if engines.move_engine(session, engine_id, before=source, after=verdict.state, now=now):
            add_audit(
                session,
                verdict.action,
                subject=engine_id,
                actor=actor,
                now=now,
                before={"state": source},
                after={"state": verdict.state},
            )
            return True
    return False
