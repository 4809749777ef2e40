"""Configurations: written once, never changed; each engine points at the one it is at."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from engineshed_packages.enrolment import OrderKey
from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import ConfigurationRow, EngineRow
from engineshed_server.domain.configurations import Configuration

FIRST = 1


def add_configuration(session: Session, configuration: Configuration, *, now: datetime) -> None:
    """Write the next configuration; a number that was taken meanwhile makes this fail at once."""
    portals = configuration.portals
    session.add(
        ConfigurationRow(
            number=configuration.number,
            active_key=configuration.active.public.hex(),
            standby_key=configuration.standby.public.hex(),
            portals=None if portals is None else json.dumps(portals),
            created=now,
        )
    )
    session.flush()


def find_current(session: Session) -> Configuration | None:
    """The newest configuration; None before ``init``."""
    row = session.scalar(select(ConfigurationRow).order_by(ConfigurationRow.number.desc()).limit(1))
    return None if row is None else _configuration(row)


def get_configuration(session: Session, number: int) -> Configuration:
    """The configuration with that number, which an engine or an order points at."""
    row = session.get(ConfigurationRow, number)
    assert row is not None  # none is ever deleted
    return _configuration(row)


def find_of_engine(session: Session, engine_id: str) -> Configuration | None:
    """The configuration the engine is at."""
    query = select(ConfigurationRow).join(EngineRow, EngineRow.configuration == ConfigurationRow.number)
    row = session.scalar(query.where(EngineRow.id == engine_id))
    return None if row is None else _configuration(row)


def set_configuration(session: Session, engine_id: str, *, number: int) -> bool:
    """The engine is at the configuration *number* from now on; false when it was already."""
    statement = (
        update(EngineRow)
        .where(EngineRow.id == engine_id, EngineRow.configuration != number)
        .values(configuration=number)
    )
    return changed_rows(session, statement) == 1


def list_behind(session: Session, *, current: int, state: str) -> frozenset[str]:
    """Ids of the engines in *state* that are not at the configuration *current*."""
    query = select(EngineRow.id).where(EngineRow.configuration != current, EngineRow.state == state)
    return frozenset(session.scalars(query))


def count_engines(session: Session, *, state: str) -> dict[int, int]:
    """How many engines in *state* are at each configuration, by number."""
    query = (
        select(EngineRow.configuration, func.count().label("engines"))
        .where(EngineRow.state == state)
        .group_by(EngineRow.configuration)
    )
    return {row.configuration: row.engines for row in session.execute(query)}


def _configuration(row: ConfigurationRow) -> Configuration:
    return Configuration(
        number=row.number,
        active=OrderKey.from_hex(row.active_key),
        standby=OrderKey.from_hex(row.standby_key),
        portals=None if row.portals is None else tuple(json.loads(row.portals)),
    )
