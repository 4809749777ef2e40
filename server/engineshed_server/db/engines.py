"""Engines and their presence: who is enrolled, in which channel, and what each last said of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import Row, Select, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import EngineRow, PresenceRow
from engineshed_server.domain.boots import Boots
from engineshed_server.domain.filters import EVERY_ENGINE, EngineFilter
from engineshed_server.errors import Raced

WAITING = "waiting"  # for an admin's approval: it may poll, and is given nothing
ENROLLED = "enrolled"
REJECTED = "rejected"  # approval was refused; a later one still counts
REVOKED = "revoked"
STATES = (WAITING, ENROLLED, REJECTED, REVOKED)
BARRED = (REJECTED, REVOKED)  # who is in one of these is not let in


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What an engine's last poll said.

    Attributes:
        skipped, attributes, capabilities: JSON texts; the last two are None when no poll carried any yet.
        address: where the poll came from.
    """

    engine_id: str
    seen: datetime
    version: str | None
    measured_version: str | None
    updater_version: str
    updater_state: str
    attempt: str | None
    health: str
    seq: int
    boot: str
    skipped: str
    attributes: str | None
    capabilities: str | None = None
    address: str | None = None

    @property
    def host_name(self) -> str | None:
        """What the poller calls its host, when this poll says it."""
        return None if self.attributes is None else json.loads(self.attributes).get("host_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """An engine: the portal's record of it, and its presence once it has polled.

    Attributes:
        version, version_at: from enrolment and reports, and when it was said.
        secret_no: how many secrets it was given in its life; only the last one counts.
        token_id, address: the enrolment token it joined with last, and from where.
        two_hosts_since: when two hosts were first seen to poll as this engine.
        configuration: number of the one it knows.
        boots: the starts of its updater that polled lately.
        hold_reason: why an admin lets it be offered nothing, None when it is. notes: what people write of it.
        revision: counts the edits of group, channel, hold and notes.
    """

    engine_id: str
    product: str
    platform: str
    group: str
    channel: str
    host_name: str
    secret_hash: str
    state: str
    version: str | None
    version_at: datetime
    enrolled: datetime
    revoked: datetime | None
    presence: Presence | None
    secret_no: int = 1
    token_id: str | None = None
    address: str | None = None
    two_hosts_since: datetime | None = None
    boots: Boots = field(default_factory=Boots)
    revision: int = 0
    configuration: int = 1
    hold_reason: str | None = None
    notes: str = ""

    @property
    def capabilities(self) -> tuple[str, ...] | None:
        """Verbs of orders its updater can carry out; None as long as it has not said."""
        said = None if self.presence is None else self.presence.capabilities
        return None if said is None else tuple(json.loads(said))


@dataclass(frozen=True, slots=True)
class Credential:
    """What an engine is known by: the hash of its secret, which of its secrets that is, and its state."""

    secret_hash: str
    secret_no: int
    state: str


_OTHERWISE = ("engine_id", "presence", "boots")
_RECORD = tuple(name for name in EngineRecord.__dataclass_fields__ if name not in _OTHERWISE)
PRESENCE_COLUMNS = tuple(Presence.__dataclass_fields__)
# What a host brings along that takes an engine's place.
_REPLACED = (
    *("platform", "host_name", "secret_hash", "state", "version", "version_at", "enrolled", "revoked"),
    *("token_id", "address", "configuration"),
)


def _query() -> Select[EngineRow, PresenceRow]:
    return select(EngineRow, PresenceRow).outerjoin(PresenceRow, PresenceRow.engine_id == EngineRow.id)


def _record(found: Row[EngineRow, PresenceRow]) -> EngineRecord:
    row, outer = found
    seen: PresenceRow | None = outer  # the outer join has None for an engine that never polled
    presence = None if seen is None else Presence(**{name: getattr(seen, name) for name in PRESENCE_COLUMNS})
    boots = Boots() if seen is None else Boots.from_dict(json.loads(seen.boots)).polled(seen.seen)
    values = {name: getattr(row, name) for name in _RECORD}
    return EngineRecord(engine_id=row.id, presence=presence, boots=boots, **values)


def add_engine(session: Session, record: EngineRecord) -> None:
    """Write a new engine; its ``presence`` and ``boots`` come with its first poll."""
    session.add(EngineRow(id=record.engine_id, **{name: getattr(record, name) for name in _RECORD}))


def find_engine(session: Session, engine_id: str) -> EngineRecord | None:
    """The engine with its presence."""
    found = session.execute(_query().where(EngineRow.id == engine_id)).one_or_none()
    return None if found is None else _record(found)


def find_credential(session: Session, engine_id: str) -> Credential | None:
    """What the engine is known by; nothing of what it said is read for that."""
    query = select(EngineRow.secret_hash, EngineRow.secret_no, EngineRow.state).where(
        EngineRow.id == engine_id
    )
    found = session.execute(query).one_or_none()
    return None if found is None else Credential(*found)


def lock_engine(session: Session, engine_id: str) -> EngineRecord | None:
    """The engine, held until the transaction ends: two that give orders to one engine wait for each other.

    SQLite knows no row locks and needs none: its writing transaction already excludes all others.
    """
    session.execute(select(EngineRow.id).where(EngineRow.id == engine_id).with_for_update())
    return find_engine(session, engine_id)


def list_engines(
    session: Session, wanted: EngineFilter = EVERY_ENGINE, *, limit: int, after: str | None
) -> tuple[EngineRecord, ...]:
    """At most *limit* engines that *wanted* lets through, by id, from behind *after*."""
    query = _query().order_by(EngineRow.id).limit(limit)
    if after is not None:
        query = query.where(EngineRow.id > after)
    for column, value in (
        (EngineRow.product, wanted.product),
        (EngineRow.state, wanted.state),
        (EngineRow.group, wanted.group),
        (EngineRow.channel, wanted.channel),
    ):
        if value is not None:
            query = query.where(column == value)
    return tuple(_record(found) for found in session.execute(query))


def list_ids(session: Session, *, group: str) -> tuple[str, ...]:
    """Ids of the enrolled engines of a group."""
    query = select(EngineRow.id).where(EngineRow.group == group, EngineRow.state == ENROLLED)
    return tuple(session.scalars(query.order_by(EngineRow.id)))


def list_not_enrolled(session: Session) -> dict[str, str]:
    """State by engine id, of all engines that are not enrolled."""
    query = select(EngineRow.id, EngineRow.state).where(EngineRow.state.in_((WAITING, *BARRED)))
    return {row.id: row.state for row in session.execute(query)}


def states_of(session: Session, engine_ids: Sequence[str]) -> dict[str, str]:
    """State by engine id, of those that exist."""
    query = select(EngineRow.id, EngineRow.state).where(EngineRow.id.in_(engine_ids))
    return {row.id: row.state for row in session.execute(query)}


def list_secret_numbers(session: Session) -> dict[str, int]:
    """``secret_no`` by engine id, of the engines that were given more than one secret."""
    query = select(EngineRow.id, EngineRow.secret_no).where(EngineRow.secret_no > 1)
    return {row.id: row.secret_no for row in session.execute(query)}


def list_waiting(session: Session, *, enrolled_before: datetime, limit: int) -> tuple[str, ...]:
    """Ids of at most *limit* engines that wait for approval since before that time."""
    query = (
        select(EngineRow.id)
        .where(EngineRow.state == WAITING, EngineRow.enrolled < enrolled_before)
        .order_by(EngineRow.id)
        .limit(limit)
    )
    return tuple(session.scalars(query))


def list_holds(session: Session) -> dict[str, str]:
    """Why they are on hold, by engine id, of the engines that are."""
    query = select(EngineRow.id, EngineRow.hold_reason).where(EngineRow.hold_reason.is_not(None))
    return {row.id: row.hold_reason for row in session.execute(query)}


def list_channels(session: Session, *, default: str) -> dict[str, str]:
    """Channel by engine id, of the engines that do not follow *default*."""
    query = select(EngineRow.id, EngineRow.channel).where(EngineRow.channel != default)
    return {row.id: row.channel for row in session.execute(query)}


def move_engine(session: Session, engine_id: str, *, before: str, after: str, now: datetime) -> bool:
    """From state *before* to *after*; false when it was not in *before* any more."""
    statement = (
        update(EngineRow)
        .where(EngineRow.id == engine_id, EngineRow.state == before)
        .values(state=after, revoked=now if after == REVOKED else None)
    )
    return changed_rows(session, statement) == 1


def replace_identity(session: Session, record: EngineRecord, *, before: EngineRecord) -> bool:
    """Give the engine the secret, state and facts of *record*; false when another was faster.

    Its id, group, channel and history stay. What two hosts on the old identity left is forgotten.
    """
    values = {name: getattr(record, name) for name in _REPLACED}
    statement = (
        update(EngineRow)
        .where(EngineRow.id == before.engine_id, EngineRow.secret_no == before.secret_no)
        .values(**values, secret_no=before.secret_no + 1, two_hosts_since=None)
    )
    if changed_rows(session, statement) != 1:
        return False
    forgotten = update(PresenceRow).where(PresenceRow.engine_id == before.engine_id)
    session.execute(
        forgotten.values(boots=json.dumps(Boots().to_dict())).execution_options(synchronize_session=False)
    )
    return True


def note_two_hosts(session: Session, engine_id: str, *, now: datetime) -> bool:
    """Write down that two hosts poll as this engine; false when that is known already."""
    statement = (
        update(EngineRow)
        .where(EngineRow.id == engine_id, EngineRow.two_hosts_since.is_(None))
        .values(two_hosts_since=now)
    )
    return changed_rows(session, statement) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What people decide of an engine, as they edit it."""

    group: str
    channel: str
    hold_reason: str | None
    notes: str


def edit_engine(session: Session, engine: EngineRecord, edited: Edited) -> None:
    """Write what was edited of an engine that was locked, as its next revision."""
    statement = (
        update(EngineRow)
        .where(EngineRow.id == engine.engine_id, EngineRow.revision == engine.revision)
        .values(**asdict(edited), revision=engine.revision + 1)
    )
    if changed_rows(session, statement) != 1:
        raise Raced("database-raced", f"engine {engine.engine_id} was edited at the same moment: try again")


def set_version(session: Session, engine_id: str, *, version: str | None, at: datetime) -> bool:
    """Take over the installed version an engine reported, unless a later report was first."""
    statement = (
        update(EngineRow)
        .where(EngineRow.id == engine_id, EngineRow.version_at <= at)
        .values(version=version, version_at=at)
    )
    return changed_rows(session, statement) == 1
