"""Edits of the portal's own record of an engine: its group and its channel.

A channel is what polls obey: a change of it is in force in every process within one second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engineshed_packages.target import check_channel
from engineshed_server.db import engines
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.groups import check_group
from engineshed_server.domain.revisions import Expected
from engineshed_server.errors import format_boundary
from engineshed_server.services.engines import engine_unknown
from engineshed_server.services.portal import Portal


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChange:
    """What is to be different; None leaves it as it is.

    Raises:
        Refused: codes ``group-name``, ``channel-name``.
    """

    group: str | None = None
    channel: str | None = None

    def __post_init__(self) -> None:
        if self.group is not None:
            check_group(self.group)
        if self.channel is not None:
            with format_boundary():
                check_channel(self.channel)


def change_engine(
    portal: Portal, engine_id: str, *, change: EngineChange, expected: Expected, actor: Actor, now: datetime
) -> bool:
    """Carry out *change* when the engine is at an *expected* revision; false when nothing differs.

    Raises:
        NotFound: code ``engine-unknown``. Outdated: code ``revision-outdated``.
    """
    with portal.database.write() as session:
        engine = engines.lock_engine(session, engine_id)
        if engine is None:
            raise engine_unknown(engine_id)
        expected.check(engine.revision, what=f"engine {engine_id}")
        before = {"group": engine.group, "channel": engine.channel}
        asked = {"group": change.group, "channel": change.channel}
        after = {**before, **{name: value for name, value in asked.items() if value is not None}}
        if after == before:
            return False
        engines.place_engine(session, engine, group=after["group"], channel=after["channel"])
        portal_rows.bump_generation(session)
        add_audit(
            session, "engine-changed", subject=engine_id, actor=actor, now=now, before=before, after=after
        )
    portal.snapshot.refresh()
    return True
