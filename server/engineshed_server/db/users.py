"""People who may log in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engineshed_server.db.guard import held, locked
from engineshed_server.db.models import UserRow


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A person who may log in, as long as ``disabled`` is None."""

    name: str
    password_hash: str
    role: str
    created: datetime
    password_set: datetime
    disabled: datetime | None

    def __repr__(self) -> str:
        return f"UserRecord(name={self.name!r}, role={self.role!r})"


_FIELDS = tuple(UserRecord.__dataclass_fields__)


def _record(row: UserRow) -> UserRecord:
    return UserRecord(**{name: getattr(row, name) for name in _FIELDS})


def add_user(session: Session, record: UserRecord) -> None:
    """Write a new user."""
    session.add(UserRow(**{name: getattr(record, name) for name in _FIELDS}))
    session.flush()  # before rows that point to it


def find_user(session: Session, name: str) -> UserRecord | None:
    """The user with that name."""
    row = session.get(UserRow, name)
    return None if row is None else _record(row)


def lock_user(session: Session, name: str) -> UserRecord | None:
    """The user with that name as he is now, held until the transaction ends."""
    row = locked(session, UserRow, name)
    return None if row is None else _record(row)


def write_user(session: Session, record: UserRecord) -> None:
    """Write a user that was locked."""
    row = held(session, UserRow, record.name)
    assert row is not None
    for name in _FIELDS:
        setattr(row, name, getattr(record, name))


def list_users(session: Session) -> tuple[UserRecord, ...]:
    """All users, by name; disabled ones too."""
    return tuple(_record(row) for row in session.scalars(select(UserRow).order_by(UserRow.name)))


def count_able(session: Session, role: str) -> int:
    """How many users with that role may log in."""
    statement = select(func.count()).select_from(UserRow)
    return session.scalar(statement.where(UserRow.role == role, UserRow.disabled.is_(None))) or 0
