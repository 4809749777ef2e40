"""Edits of the portal's own record of an engine: group, channel, notes, and whether it is on hold.

A channel and a hold are what polls obey: a change of them is in force in every process within one second. An
engine on hold is offered nothing by itself; what an administrator orders it all the same, it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from engineshed_packages.jsontext import escape_controls
from engineshed_packages.target import check_channel
from engineshed_server.db import engines
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.engines import Edited, EngineRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.groups import check_group
from engineshed_server.domain.revisions import ANY_REVISION, Expected
from engineshed_server.errors import Refused, format_boundary
from engineshed_server.services.engines import engine_unknown
from engineshed_server.services.portal import Portal
from engineshed_server.services.reasons import check_reason

MAX_NOTES_CHARS = 2000
MAX_AT_ONCE = 10_000
# Of these the audit tells always, of others when they are changed.
_PLACE = ("group", "channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChange:
    """What is to be different; None leaves it as it is.

    Attributes:
        hold_reason: why the engine is to be on hold; "" lets it go.

    Raises:
        Refused: codes ``group-name``, ``channel-name``, ``reason-unreadable``, ``notes-unreadable``.
    """

    group: str | None = None
    channel: str | None = None
    hold_reason: str | None = None
    notes: str | None = None

    def __post_init__(self) -> None:
        if self.group is not None:
            check_group(self.group)
        if self.channel is not None:
            with format_boundary():
                check_channel(self.channel)
        if self.hold_reason:
            object.__setattr__(self, "hold_reason", check_reason(self.hold_reason))
        if self.notes is not None:
            object.__setattr__(self, "notes", _check_notes(self.notes))

    def of(self, engine: EngineRecord) -> tuple[Edited, Edited]:
        """What is so of *engine*, and what is to be."""
        before = Edited(
            group=engine.group, channel=engine.channel, hold_reason=engine.hold_reason, notes=engine.notes
        )
        asked = {name: value for name, value in asdict(self).items() if value is not None}
        if asked.get("hold_reason") == "":
            asked["hold_reason"] = None
        return before, replace(before, **asked)


def change_engine(
    portal: Portal, engine_id: str, *, change: EngineChange, expected: Expected, actor: Actor, now: datetime
) -> bool:
    """Carry out *change* when the engine is at an *expected* revision; false when nothing differs.

    Raises:
        NotFound: code ``engine-unknown``. Outdated: code ``revision-outdated``.
    """
    with portal.database.write() as session:
        changed = _change(session, engine_id, change=change, expected=expected, actor=actor, now=now)
        if changed:
            portal_rows.bump_generation(session)
    portal.snapshot.refresh()
    return changed


def change_engines(
    portal: Portal, engine_ids: Sequence[str], *, change: EngineChange, actor: Actor, now: datetime
) -> int:
    """Carry out *change* on several engines, on all or on none; how many differ from before.

    Raises:
        NotFound: code ``engine-unknown``. Refused: code ``engines-too-many``.
    """
    # In one order, so that two who edit the same engines do not block each other.
    wanted = sorted(set(engine_ids))
    if len(wanted) > MAX_AT_ONCE:
        raise Refused(
            "engines-too-many", f"found {len(wanted)} engines, at most {MAX_AT_ONCE} are edited at once"
        )
    with portal.database.write() as session:
        changed = sum(
            _change(session, one, change=change, expected=ANY_REVISION, actor=actor, now=now)
            for one in wanted
        )
        if changed:
            portal_rows.bump_generation(session)
    portal.snapshot.refresh()
    return changed


def _change(
    session: Session,
    engine_id: str,
    *,
    change: EngineChange,
    expected: Expected,
    actor: Actor,
    now: datetime,
) -> bool:
    engine = engines.lock_engine(session, engine_id)
    if engine is None:
        raise engine_unknown(engine_id)
    expected.check(engine.revision, what=f"engine {engine_id}")
    before, after = change.of(engine)
    if after == before:
        return False
    engines.edit_engine(session, engine, after)
    old, new = asdict(before), asdict(after)
    told = [name for name in old if name in _PLACE or old[name] != new[name]]
    add_audit(
        session,
        "engine-changed",
        subject=engine_id,
        actor=actor,
        now=now,
        before={name: old[name] for name in told},
        after={name: new[name] for name in told},
    )
    return True


def _check_notes(text: str) -> str:
    """*text* without the blanks around it, its lines ended as everywhere else here."""
    notes = text.replace("\r\n", "\n").strip()
    lines = notes.split("\n")
    if len(notes) > MAX_NOTES_CHARS or any(escape_controls(line) != line for line in lines):
        raise Refused(
            "notes-unreadable",
            f"found notes of {len(notes)} characters, expected lines of plain text with at most "
            f"{MAX_NOTES_CHARS}: leave out control characters",
        )
    return notes
