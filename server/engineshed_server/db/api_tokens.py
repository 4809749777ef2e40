"""Tokens of the API: who may call, with which scope, until when; only their hashes are here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import ApiTokenRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiTokenRecord:
    """A token of the API.

    Attributes:
        expires: None when it ends only by being revoked. used: roughly, None before the first time.
    """

    token_id: str
    token_hash: str
    name: str
    scope: str
    created: datetime
    expires: datetime | None
    used: datetime | None
    revoked: datetime | None


def add_api_token(session: Session, record: ApiTokenRecord) -> None:
    """Write a new API token."""
    session.add(
        ApiTokenRow(
            id=record.token_id,
            token_hash=record.token_hash,
            name=record.name,
            scope=record.scope,
            created=record.created,
            expires=record.expires,
            used=record.used,
            revoked=record.revoked,
        )
    )


def find_api_token(session: Session, token_hash: str) -> ApiTokenRecord | None:
    """The API token with this hash."""
    row = session.scalar(select(ApiTokenRow).where(ApiTokenRow.token_hash == token_hash))
    return None if row is None else _record(row)


def get_api_token(session: Session, token_id: str) -> ApiTokenRecord | None:
    """The API token with this id, None when there is none."""
    row = session.get(ApiTokenRow, token_id, populate_existing=True)
    return None if row is None else _record(row)


def list_api_tokens(
    session: Session, *, limit: int, after: tuple[datetime, str] | None = None
) -> tuple[ApiTokenRecord, ...]:
    """At most *limit* API tokens, revoked ones too, the oldest first, from behind *after*."""
    query = select(ApiTokenRow).order_by(ApiTokenRow.created, ApiTokenRow.id).limit(limit)
    if after is not None:
        created, token_id = after
        later = and_(ApiTokenRow.created == created, ApiTokenRow.id > token_id)
        query = query.where(or_(ApiTokenRow.created > created, later))
    return tuple(_record(row) for row in session.scalars(query))


def newest_api_tokens(
    session: Session, *, limit: int, before: tuple[datetime, str] | None = None
) -> tuple[ApiTokenRecord, ...]:
    """At most *limit* API tokens, revoked ones too, the newest first, from behind *before*."""
    query = select(ApiTokenRow).order_by(ApiTokenRow.created.desc(), ApiTokenRow.id.desc()).limit(limit)
    if before is not None:
        created, token_id = before
        at_once = and_(ApiTokenRow.created == created, ApiTokenRow.id < token_id)
        query = query.where(or_(ApiTokenRow.created < created, at_once))
    return tuple(_record(row) for row in session.scalars(query))


def list_good_api_tokens(session: Session) -> tuple[ApiTokenRecord, ...]:
    """All API tokens that were not revoked."""
    return tuple(
        _record(row) for row in session.scalars(select(ApiTokenRow).where(ApiTokenRow.revoked.is_(None)))
    )


def revoke_api_token(session: Session, token_id: str, *, now: datetime) -> bool:
    """Revoke a token that is not revoked yet; false when it was, or is unknown."""
    statement = (
        update(ApiTokenRow)
        .where(ApiTokenRow.id == token_id, ApiTokenRow.revoked.is_(None))
        .values(revoked=now)
    )
    return changed_rows(session, statement) == 1


def write_uses(session: Session, uses: Mapping[str, datetime]) -> None:
    """Write when tokens were last used; an earlier time never replaces a later one."""
    for token_id, used in sorted(uses.items()):
        statement = (
            update(ApiTokenRow)
            .where(ApiTokenRow.id == token_id, or_(ApiTokenRow.used.is_(None), ApiTokenRow.used < used))
            .values(used=used)
        )
        changed_rows(session, statement)


def _record(row: ApiTokenRow) -> ApiTokenRecord:
    return ApiTokenRecord(
        token_id=row.id,
        token_hash=row.token_hash,
        name=row.name,
        scope=row.scope,
        created=row.created,
        expires=row.expires,
        used=row.used,
        revoked=row.revoked,
    )
