"""People who may log in: made, given another role or password, kept out. Nobody is ever deleted.

Whatever takes something away from a person ends his sessions in the same transaction: it is in force at his
next request. At least one owner can always log in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from engineshed_packages.times import format_time
from engineshed_server.db import portal as portal_rows
from engineshed_server.db import sessions, users
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.users import UserRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import Role, check_user_name
from engineshed_server.errors import Conflict, NotFound
from engineshed_server.services import guesses, passwords
from engineshed_server.services.portal import Portal


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who may log in, unless he is disabled."""

    name: str
    role: Role
    created: datetime
    password_set: datetime
    disabled: datetime | None


def actor_of(name: str, *, address: str | None = None, request: str | None = None) -> Actor:
    """The user *name* as the one who changes something."""
    return Actor(f"user:{name}", address=address, request=request)


def guesses_of(name: str) -> str:
    """Under which name wrong passwords for the user are counted."""
    return f"login-as:{name}"


def create_user(portal: Portal, *, name: str, password: str, role: Role, actor: Actor, now: datetime) -> User:
    """Let somebody log in.

    Raises:
        Refused: codes ``user-name`` and ``password-weak``. Conflict: ``user-exists``.
        TryLater: ``login-busy``.
    """
    record = new_user(name=name, password=password, role=role, now=now)
    with portal.database.write() as session:
        add_user(session, record, actor=actor, now=now)
    return _user(record)


def new_user(*, name: str, password: str, role: Role, now: datetime) -> UserRecord:
    """The row of a new user, whose password is fit to be one; hashing it takes a while.

    Raises:
        Refused, TryLater: as ``create_user``.
    """
    checked = check_user_name(name)
    return UserRecord(
        name=checked,
        password_hash=_hash(password, user_name=checked),
        role=role.value,
        created=now,
        password_set=now,
        disabled=None,
    )


def add_user(session: Session, record: UserRecord, *, actor: Actor, now: datetime) -> None:
    """Write a new user within a transaction.

    Raises:
        Conflict: code ``user-exists``.
    """
    portal_rows.lock_portal(session)  # two of the same name at once
    if users.find_user(session, record.name) is not None:
        raise Conflict("user-exists", f"there is a user {record.name} already: choose another name")
    users.add_user(session, record)
    add_audit(session, "user-created", subject=record.name, actor=actor, now=now, after=_audited(record))


def list_users(portal: Portal) -> tuple[User, ...]:
    """All users, by name, disabled ones too."""
    with portal.database.read() as session:
        return tuple(map(_user, users.list_users(session)))


def show_user(portal: Portal, name: str) -> User:
    """One user.

    Raises:
        NotFound: code ``user-not-found``.
    """
    with portal.database.read() as session:
        record = users.find_user(session, name)
    if record is None:
        raise _not_found(name)
    return _user(record)


def change_role(portal: Portal, name: str, *, role: Role, actor: Actor, now: datetime) -> User:
    """Give a user another role; in force at his next request.

    Raises:
        NotFound: ``user-not-found``. Conflict: ``user-last-owner``.
    """
    with portal.database.write() as session:
        before = _lock(session, name)
        after = replace(before, role=role.value)
        _write(session, before, after, action="user-role-changed", actor=actor, now=now)
    return _user(after)


def disable_user(portal: Portal, name: str, *, actor: Actor, now: datetime) -> User:
    """Keep a user out from now on; his sessions end.

    Raises:
        NotFound: ``user-not-found``. Conflict: ``user-last-owner``.
    """
    with portal.database.write() as session:
        before = _lock(session, name)
        after = before if before.disabled is not None else replace(before, disabled=now)
        _write(session, before, after, action="user-disabled", actor=actor, now=now)
        sessions.delete_of_user(session, before.name)
    return _user(after)


def enable_user(portal: Portal, name: str, *, actor: Actor, now: datetime) -> User:
    """Let a disabled user in again, with the password he had.

    Raises:
        NotFound: ``user-not-found``.
    """
    with portal.database.write() as session:
        before = _lock(session, name)
        after = replace(before, disabled=None)
        _write(session, before, after, action="user-enabled", actor=actor, now=now)
    return _user(after)


def set_password(
    portal: Portal, name: str, *, password: str, actor: Actor, now: datetime, keeps: str | None = None
) -> User:
    """Give a user another password. His sessions end, but for the one with the id *keeps*.

    Raises:
        NotFound: ``user-not-found``. Refused: ``password-weak``. TryLater: ``login-busy``.
    """
    password_hash = _hash(password, user_name=show_user(portal, name).name)
    with portal.database.write() as session:
        before = _lock(session, name)
        after = replace(before, password_hash=password_hash, password_set=now)
        _write(session, before, after, action="user-password-changed", actor=actor, now=now)
        sessions.delete_of_user(session, before.name, but=keeps)
        guesses.forgive(session, guesses_of(before.name))
    return _user(after)


def _lock(session: Session, name: str) -> UserRecord:
    portal_rows.lock_portal(session)  # who counts the owners decides alone
    record = users.lock_user(session, name)
    if record is None:
        raise _not_found(name)
    return record


def _write(
    session: Session, before: UserRecord, after: UserRecord, *, action: str, actor: Actor, now: datetime
) -> None:
    if before == after:
        return
    loses = _is_owner(before) and not _is_owner(after)
    if loses and users.count_able(session, Role.OWNER.value) == 1:
        raise Conflict(
            "user-last-owner",
            f"{before.name} is the only owner who can log in: make another user an owner first",
        )
    users.write_user(session, after)
    add_audit(
        session,
        action,
        subject=before.name,
        actor=actor,
        now=now,
        before=_audited(before),
        after=_audited(after),
    )


def _is_owner(record: UserRecord) -> bool:
    return record.role == Role.OWNER.value and record.disabled is None


def _hash(password: str, *, user_name: str) -> str:
    passwords.check_password(password, user_name=user_name)
    with passwords.turn():
        return passwords.hash_password(password)


def _audited(record: UserRecord) -> Details:
    return {
        "role": record.role,
        "password_set": format_time(record.password_set),
        "disabled": None if record.disabled is None else format_time(record.disabled),
    }


def _user(record: UserRecord) -> User:
    return User(
        name=record.name,
        role=Role(record.role),
        created=record.created,
        password_set=record.password_set,
        disabled=record.disabled,
    )


def _not_found(name: str) -> NotFound:
    return NotFound("user-not-found", f"there is no user {name[:40]!r}: see the list of users")
