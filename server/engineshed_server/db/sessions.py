"""Browsers in which somebody is logged in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from engineshed_server.db.guard import changed_rows
from engineshed_server.db.models import SessionRow, UserRow


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A browser in which *user_name* is logged in, unless it expired or was not seen for too long."""

    session_id: str
    token_hash: str
    user_name: str
    created: datetime
    seen: datetime
    expires: datetime
    address: str | None
    user_agent: str

    def __repr__(self) -> str:
        return f"SessionRecord(session_id={self.session_id!r}, user_name={self.user_name!r})"


_COPIED = tuple(name for name in SessionRecord.__dataclass_fields__ if name != "session_id")


def _record(row: SessionRow) -> SessionRecord:
    return SessionRecord(session_id=row.id, **{name: getattr(row, name) for name in _COPIED})


def add_session(session: Session, record: SessionRecord) -> None:
    """Write a new one."""
    session.add(SessionRow(id=record.session_id, **{name: getattr(record, name) for name in _COPIED}))


def find_with_role(session: Session, token_hash: str) -> tuple[SessionRecord, str] | None:
    """The one whose cookie has that hash, and its user's role; None also when the user is disabled."""
    found = session.execute(
        select(SessionRow, UserRow.role)
        .join(UserRow, UserRow.name == SessionRow.user_name)
        .where(SessionRow.token_hash == token_hash, UserRow.disabled.is_(None))
    ).first()
    return None if found is None else (_record(found[0]), found[1])


def list_of_user(session: Session, user_name: str) -> tuple[SessionRecord, ...]:
    """All of one user, those seen last first."""
    query = select(SessionRow).where(SessionRow.user_name == user_name)
    return tuple(
        _record(row) for row in session.scalars(query.order_by(SessionRow.seen.desc(), SessionRow.id))
    )


def note_seen(session: Session, session_id: str, *, seen: datetime, address: str | None) -> None:
    """Somebody was there; an earlier time never replaces a later one."""
    changed_rows(
        session,
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.seen < seen)
        .values(seen=seen, address=address),
    )


def delete_session(session: Session, session_id: str, *, user_name: str) -> bool:
    """End one of that user's; false when he has none of that id."""
    statement = delete(SessionRow).where(SessionRow.id == session_id, SessionRow.user_name == user_name)
    return changed_rows(session, statement) == 1


def delete_of_user(session: Session, user_name: str, *, but: str | None = None) -> None:
    """End all of one user, apart from the one with the id *but*."""
    statement = delete(SessionRow).where(SessionRow.user_name == user_name)
    if but is not None:
        statement = statement.where(SessionRow.id != but)
    changed_rows(session, statement)


def delete_ended(session: Session, *, expired_before: datetime, seen_before: datetime) -> None:
    """Forget those whose time is over."""
    over = or_(SessionRow.expires <= expired_before, SessionRow.seen <= seen_before)
    changed_rows(session, delete(SessionRow).where(over))
