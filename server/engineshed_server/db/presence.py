"""Heartbeats on their way into the database: many at once, an older one never in the place of a newer one.

Each engine polls about once a minute and most of what it says it has said before: the row is replaced as a
whole, by one statement carried out for all engines of a transaction. The starts of an updater (``Boots``)
are written only when another one polls: until then its last poll is the row's ``seen``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.engines import PRESENCE_COLUMNS, Presence
from engineshed_server.db.models import EngineRow, PresenceRow
from engineshed_server.domain.boots import Boots

Values = dict[str, object]
_TABLE = PresenceRow.__table__


def write_presences(session: Session, presences: Sequence[Presence]) -> tuple[str, ...]:
    """Write what engines last said, one word each; an older one never replaces a newer one.

    Returns the ids of those of which it shows that two hosts poll as one engine.

    ``attributes`` or ``capabilities`` None leave the stored ones: they are sent only when they changed. Of
    two processes that write the same engines at once the later waits: each sees the nonces of the other.
    """
    ids = [presence.engine_id for presence in presences]
    query = select(PresenceRow.engine_id, PresenceRow.boot).where(PresenceRow.engine_id.in_(ids))
    # In one order in every process, or two would wait for each other.
    held = session.execute(query.order_by(PresenceRow.engine_id).with_for_update())
    known = {row.engine_id: row.boot for row in held}
    strangers = [presence for presence in presences if presence.engine_id not in known]
    if strangers:
        _add(session, strangers)
    others = [
        presence for presence in presences if known.get(presence.engine_id, presence.boot) != presence.boot
    ]
    boots = _boots_after(session, others) if others else {}
    changed: dict[frozenset[str], list[Values]] = {}
    for presence in presences:
        if presence.engine_id not in known:
            continue
        values: Values = {name: getattr(presence, name) for name in PRESENCE_COLUMNS}
        if presence.engine_id in boots:
            values["boots"] = json.dumps(boots[presence.engine_id].to_dict())
        for seldom in ("attributes", "capabilities"):
            if values[seldom] is None:
                del values[seldom]
        changed.setdefault(frozenset(values), []).append(values)
    for rows in changed.values():
        _replace(session, rows)
    return tuple(engine_id for engine_id, starts in boots.items() if starts.two_hosts)


def _add(session: Session, presences: Sequence[Presence]) -> None:
    """The first word of each engine; of an engine that nobody enrolled, nothing is kept."""
    ids = [presence.engine_id for presence in presences]
    enrolled = frozenset(session.scalars(select(EngineRow.id).where(EngineRow.id.in_(ids))))
    rows: list[Values] = []
    for presence in presences:
        if presence.engine_id in enrolled:
            values: Values = {name: getattr(presence, name) for name in PRESENCE_COLUMNS}
            rows.append({**values, "boots": json.dumps(_after(Boots(), presence).to_dict())})
    if rows:
        session.execute(insert(PresenceRow), rows)


def _boots_after(session: Session, presences: Sequence[Presence]) -> Mapping[str, Boots]:
    """The starts of updaters of which another polls than before: started anew, or on another host."""
    columns = (PresenceRow.engine_id, PresenceRow.boots, PresenceRow.seen)
    ids = [presence.engine_id for presence in presences]
    found = session.execute(select(*columns).where(PresenceRow.engine_id.in_(ids)))
    before = {row.engine_id: Boots.from_dict(json.loads(row.boots)).polled(row.seen) for row in found}
    return {presence.engine_id: _after(before[presence.engine_id], presence) for presence in presences}


def _after(before: Boots, presence: Presence) -> Boots:
    """The starts of an engine's updater once *presence* has come."""
    return before.after(
        presence.boot, now=presence.seen, host_name=presence.host_name, address=presence.address
    )


def _replace(session: Session, rows: Sequence[Values]) -> None:
    """One UPDATE, carried out for each of *rows*, which all have the same names."""
    names = [name for name in rows[0] if name != "engine_id"]
    newer = (
        update(PresenceRow)
        .where(_TABLE.c.engine_id == bindparam("of_engine"), _TABLE.c.seen < bindparam("newer_than"))
        .values({name: bindparam(f"new_{name}") for name in names})
    )
    parameters = [
        {
            "of_engine": row["engine_id"],
            "newer_than": row["seen"],
            **{f"new_{name}": row[name] for name in names},
        }
        for row in rows
    ]
    session.connection().execute(newer, parameters)
