"""Tokens engines join with: limited in uses, time, address and product, bound to a group or to one engine.

Only hashes are stored: who reads the database cannot join. A token's terms never change once it is made,
so they may be looked at before its one guarded UPDATE takes a use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import EnrolTokenRow


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolTokenRecord:
    """A token engines join with.

    Attributes:
        product: the only one that may join with it, None for any.
        networks: address ranges it may be used from, in their one form; none for anywhere.
        needs_approval: who joins with it waits until an admin approves.
        replaces: id of the engine whose place the host takes, None for a new engine.
        uses, uses_left: how many may join, in all (None: made by an older version) and still.
    """

    token_id: str
    token_hash: str
    name: str
    group: str
    product: str | None
    networks: tuple[str, ...]
    needs_approval: bool
    replaces: str | None
    uses: int | None
    uses_left: int
    expires: datetime
    created: datetime
    revoked: datetime | None


_OTHERWISE = ("token_id", "networks")
_COPIED = tuple(name for name in EnrolTokenRecord.__dataclass_fields__ if name not in _OTHERWISE)


def _record(row: EnrolTokenRow) -> EnrolTokenRecord:
    values = {name: getattr(row, name) for name in _COPIED}
    return EnrolTokenRecord(token_id=row.id, networks=tuple(row.networks.split()), **values)


def add_enrol_token(session: Session, record: EnrolTokenRecord) -> None:
    """Write a new enrolment token."""
    values = {name: getattr(record, name) for name in _COPIED}
    session.add(EnrolTokenRow(id=record.token_id, networks=" ".join(record.networks), **values))


def find_enrol_token(session: Session, token_hash: str) -> EnrolTokenRecord | None:
    """The enrolment token with this hash."""
    row = session.scalar(select(EnrolTokenRow).where(EnrolTokenRow.token_hash == token_hash))
    return None if row is None else _record(row)


def get_enrol_token(session: Session, token_id: str) -> EnrolTokenRecord | None:
    """The enrolment token with this id, None when there is none."""
    row = session.get(EnrolTokenRow, token_id)
    return None if row is None else _record(row)


def list_enrol_tokens(session: Session, *, limit: int, after: str | None) -> tuple[EnrolTokenRecord, ...]:
    """At most *limit* enrolment tokens by id, from behind *after*; used, expired and revoked ones too."""
    query = select(EnrolTokenRow).order_by(EnrolTokenRow.id).limit(limit)
    if after is not None:
        query = query.where(EnrolTokenRow.id > after)
    return tuple(_record(row) for row in session.scalars(query))


def newest_enrol_tokens(
    session: Session, *, limit: int, before: tuple[datetime, str] | None
) -> tuple[EnrolTokenRecord, ...]:
    """At most *limit* enrolment tokens, the newest first, from behind *before*: a time and an id."""
    query = select(EnrolTokenRow).order_by(EnrolTokenRow.created.desc(), EnrolTokenRow.id.desc()).limit(limit)
    if before is not None:
        created, token_id = before
        at_once = and_(EnrolTokenRow.created == created, EnrolTokenRow.id < token_id)
        query = query.where(or_(EnrolTokenRow.created < created, at_once))
    return tuple(_record(row) for row in session.scalars(query))


def consume_enrol_token(session: Session, token_hash: str, *, now: datetime) -> bool:
    """Take one use of a token that still has one, has not expired and is not revoked: one guarded UPDATE."""
    statement = (
        update(EnrolTokenRow)
        .where(EnrolTokenRow.token_hash == token_hash, EnrolTokenRow.uses_left > 0)
        .where(EnrolTokenRow.expires > now, EnrolTokenRow.revoked.is_(None))
        .values(uses_left=EnrolTokenRow.uses_left - 1)
    )
    return changed_rows(session, statement) == 1


def revoke_enrol_token(session: Session, token_id: str, *, now: datetime) -> bool:
    """Revoke a token that is not revoked yet; false when it was, or is unknown."""
    statement = (
        update(EnrolTokenRow)
        .where(EnrolTokenRow.id == token_id, EnrolTokenRow.revoked.is_(None))
        .values(revoked=now)
    )
    return changed_rows(session, statement) == 1
