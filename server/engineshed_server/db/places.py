"""Groups and channels: those that were made, and those that engines are in all the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from engineshed_server.db.engines import ENROLLED, WAITING
from engineshed_server.db.models import ChannelRow, EngineRow, GroupRow

_LIVING = (ENROLLED, WAITING)  # who else there is in a group will not come back by itself
_Rows = type[GroupRow] | type[ChannelRow]


def count_groups(session: Session) -> dict[str, int]:
    """How many engines are in each group, of those that are not shut out; 0 in one that was only made."""
    return _count(session, GroupRow, column=EngineRow.group)


def count_channels(session: Session) -> dict[str, int]:
    """How many engines follow each channel, as ``count_groups``."""
    return _count(session, ChannelRow, column=EngineRow.channel)


def add_group(session: Session, name: str, *, now: datetime) -> bool:
    """Make a group; false when it was made already."""
    return _add(session, GroupRow, name, now=now)


def add_channel(session: Session, name: str, *, now: datetime) -> bool:
    """Make a channel; false when it was made already."""
    return _add(session, ChannelRow, name, now=now)


def drop_group(session: Session, name: str) -> None:
    """Forget that a group was made."""
    session.execute(delete(GroupRow).where(GroupRow.name == name))


def drop_channel(session: Session, name: str) -> None:
    """Forget that a channel was made."""
    session.execute(delete(ChannelRow).where(ChannelRow.name == name))


def list_members(session: Session, *, group: str | None = None, channel: str | None = None) -> Sequence[str]:
    """Ids of the engines in a group, or that follow a channel."""
    query = select(EngineRow.id).where(EngineRow.state.in_(_LIVING)).order_by(EngineRow.id)
    if group is not None:
        query = query.where(EngineRow.group == group)
    if channel is not None:
        query = query.where(EngineRow.channel == channel)
    return session.scalars(query).all()


def _count(session: Session, made: _Rows, *, column: InstrumentedAttribute[str]) -> dict[str, int]:
    found = dict.fromkeys(session.scalars(select(made.name)), 0)
    query = select(column.label("name"), func.count().label("engines")).where(EngineRow.state.in_(_LIVING))
    found.update({row.name: row.engines for row in session.execute(query.group_by(column))})
    return dict(sorted(found.items()))


def _add(session: Session, row: _Rows, name: str, *, now: datetime) -> bool:
    if session.get(row, name) is not None:
        return False
    session.add(row(name=name, created=now))
    session.flush()
    return True
