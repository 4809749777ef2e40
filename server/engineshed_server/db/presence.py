"""Heartbeats on their way into the database: many at once, an older one never in the place of a newer one.

Each engine polls about once a minute and most of what it says it has said before: the row is replaced as a
whole, by one statement carried out for all engines of a transaction. The starts of an updater (``Boots``)
are written only when another one polls: until then its last poll is the row's ``seen``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.engines import PRESENCE_COLUMNS, Presence
from engineshed_server.db.models import EngineRow, PresenceRow
from engineshed_server.domain.boots import Boots

Values = dict[str, object]
_TABLE = PresenceRow.__table__


def write_presences(session: Session, presences: Sequence[Presence]) -> None:
    """Write what engines last said, one word each; an older one never replaces a newer one.

    ``attributes`` None leaves the stored ones: they are sent only when they changed. Of two processes that
    write one engine at once the later forgets a nonce of the earlier; the next polls bring it back.
    """
    ids = [presence.engine_id for presence in presences]
    columns = (PresenceRow.engine_id, PresenceRow.boot, PresenceRow.boots, PresenceRow.seen)
    found = session.execute(select(*columns).where(PresenceRow.engine_id.in_(ids)))
    known = {row.engine_id: (row.boot, row.boots, row.seen) for row in found}
    strangers = [presence.engine_id for presence in presences if presence.engine_id not in known]
    enrolled = frozenset(session.scalars(select(EngineRow.id).where(EngineRow.id.in_(strangers))))
    new: list[Values] = []
    changed: dict[frozenset[str], list[Values]] = {}
    for presence in presences:
        values: Values = {name: getattr(presence, name) for name in PRESENCE_COLUMNS}
        if presence.engine_id in known:
            boot, boots, seen = known[presence.engine_id]
            values |= _boots_of(presence, boot=boot, written=boots, seen=seen)
            if presence.attributes is None:
                del values["attributes"]
            changed.setdefault(frozenset(values), []).append(values)
        elif presence.engine_id in enrolled:
            first = Boots().after(presence.boot, now=presence.seen)
            new.append({**values, "boots": json.dumps(first.to_dict())})
    if new:
        session.execute(insert(PresenceRow), new)
    for rows in changed.values():
        _replace(session, rows)


def _boots_of(presence: Presence, *, boot: str, written: str, seen: datetime) -> Mapping[str, str]:
    """The column ``boots``, when the start that polls is not the one that polled last."""
    if presence.boot == boot:
        return {}
    before = Boots.from_dict(json.loads(written)).polled(seen)
    return {"boots": json.dumps(before.after(presence.boot, now=presence.seen).to_dict())}


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
