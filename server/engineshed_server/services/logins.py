"""Logging in: name and password for a session; a session's secret for who it is, at every request.

A wrong password counts against the address it came from and against the name it was for, known or not;
after the first five each costs a wait that doubles (``guesses``), and while somebody waits not even the right
one is looked at. An unknown name, a disabled user and a wrong password are told and timed alike.

A session's secret is new at each login, lives in the browser's cookie, and is stored as a hash. The session
ends by logging out, by being revoked, at an absolute time, or when nobody was seen for too long. Each request
asks the database: whatever changes about the user is in force at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from engineshed_packages.ids import new_id
from engineshed_server.db import sessions, users
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Session
from engineshed_server.db.sessions import SessionRecord
from engineshed_server.db.users import UserRecord
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import MAX_NAME_CHARS, Role
from engineshed_server.errors import NotAuthenticated, NotFound, ServerError, Throttled, TryLater
from engineshed_server.services import guesses, passwords
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.secret_texts import hash_secret, new_secret
from engineshed_server.services.users import actor_of, guesses_of

SEEN_EVERY = timedelta(minutes=1)  # a write for each request would be a high price for "last seen"
MAX_SECRET_CHARS = 200
MAX_USER_AGENT_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whoever is at the browser: where he comes from, as the audit and the list of sessions tell it."""

    address: str
    user_agent: str = ""
    request: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Who is logged in in one browser.

    Attributes:
        seen: roughly. expires: at the latest.
    """

    session_id: str
    user: str
    role: Role
    created: datetime
    seen: datetime
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session just begun; ``secret`` is what the cookie holds."""

    signed_in: SignedIn
    secret: str

    def __repr__(self) -> str:
        return f"NewSession({self.signed_in!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSession:
    """One of a user's sessions, for him to look at."""

    session_id: str
    created: datetime
    seen: datetime
    expires: datetime
    address: str | None
    user_agent: str


def log_in(portal: Portal, *, name: str, password: str, visitor: Visitor, now: datetime) -> NewSession:
    """Begin a session for who knows the password.

    Raises:
        NotAuthenticated: code ``login-wrong``: unknown, disabled, or the password is another.
        Throttled: ``login-delayed``. TryLater: ``login-busy``.
    """
    known_as = name.strip().lower()[:MAX_NAME_CHARS]
    with passwords.turn():
        user = _find_by_password(portal, known_as, password=password, visitor=visitor, now=now)
        if user is None:
            raise NotAuthenticated(
                "login-wrong",
                "this name and this password do not belong together: check both, then try again",
            )
        fresh = _rehashed(user, password)
    secret = new_secret("session")
    begun = run_again_when_raced(lambda: _begin(portal, user, fresh, secret=secret, visitor=visitor, now=now))
    return NewSession(signed_in=signed_in_of(begun, user.role), secret=secret)


def confirm_password(
    portal: Portal, who: SignedIn, *, password: str, visitor: Visitor, now: datetime
) -> None:
    """Return when *who* knows his password; guessing it is counted as at the login.

    Raises:
        NotAuthenticated: code ``password-wrong``. Throttled: ``login-delayed``. TryLater: ``login-busy``.
    """
    with passwords.turn():
        if _find_by_password(portal, who.user, password=password, visitor=visitor, now=now) is None:
            raise NotAuthenticated(
                "password-wrong", "the password you have now is another one: nothing was changed"
            )


def _find_by_password(
    portal: Portal, name: str, *, password: str, visitor: Visitor, now: datetime
) -> UserRecord | None:
    """The user whose *password* it is; None, counted and audited, for an unknown or disabled one as well.

    To be called within a turn.

    Raises:
        Throttled: ``login-delayed``.
    """
    sources = (guesses.source_of("login", visitor.address), guesses_of(name))
    with portal.database.read() as session:
        user = users.find_user(session, name)
        wait_s = max(guesses.wait_left_s(session, source, now=now) for source in sources)
    if wait_s:
        raise _delayed(wait_s)
    able = user if user is not None and user.disabled is None else None
    given = password if len(password) <= passwords.MAX_CHARS else ""
    if passwords.is_password(given, None if able is None else able.password_hash):
        return able
    run_again_when_raced(lambda: _count(portal, user, sources, visitor=visitor, now=now))
    return None


def begin_session(
    session: Session, portal: Portal, user: UserRecord, *, secret: str, visitor: Visitor, now: datetime
) -> SessionRecord:
    """Write a session of *user*, whose proof was looked at, within a transaction."""
    record = SessionRecord(
        session_id=new_id("ses"),
        token_hash=hash_secret(secret),
        user_name=user.name,
        created=now,
        seen=now,
        expires=now + timedelta(seconds=portal.settings.session_s),
        address=visitor.address[:64] or None,
        user_agent=visitor.user_agent[:MAX_USER_AGENT_CHARS],
    )
    sessions.add_session(session, record)
    add_audit(
        session,
        "login",
        subject=user.name,
        actor=actor_of(user.name, address=visitor.address, request=visitor.request),
        now=now,
        details={"session": record.session_id},
    )
    return record


def find_signed_in(
    portal: Portal, secret: str, *, visitor: Visitor, now: datetime, counts: bool = True
) -> SignedIn | None:
    """Who is logged in with the cookie that holds *secret*; None: nobody any more.

    Args:
        counts: whether this shows that somebody is there; what a page asks by itself does not.
    """
    if len(secret) > MAX_SECRET_CHARS:
        return None
    with portal.database.read() as session:
        found = sessions.find_with_role(session, hash_secret(secret))
    if found is None:
        return None
    record, role = found
    if now >= record.expires or now >= record.seen + timedelta(seconds=portal.settings.session_idle_s):
        return None
    if counts and now - record.seen >= SEEN_EVERY:
        try:
            with portal.database.write() as session:
                sessions.note_seen(session, record.session_id, seen=now, address=visitor.address[:64] or None)
        except TryLater:
            pass  # the page can be shown all the same; the next request tells it
    return signed_in_of(record, role)


def log_out(portal: Portal, who: SignedIn, *, visitor: Visitor, now: datetime) -> None:
    """End the session."""
    actor = actor_of(who.user, address=visitor.address, request=visitor.request)
    with portal.database.write() as session:
        if sessions.delete_session(session, who.session_id, user_name=who.user):
            details = {"session": who.session_id}
            add_audit(session, "logout", subject=who.user, actor=actor, now=now, details=details)


def list_sessions(portal: Portal, who: SignedIn, *, now: datetime) -> tuple[UserSession, ...]:
    """The sessions of *who* that have not ended, his own among them; those seen last first."""
    oldest = now - timedelta(seconds=portal.settings.session_idle_s)
    with portal.database.read() as session:
        found = sessions.list_of_user(session, who.user)
    return tuple(_user_session(one) for one in found if one.expires > now and one.seen > oldest)


def revoke_session(
    portal: Portal, who: SignedIn, session_id: str, *, visitor: Visitor, now: datetime
) -> None:
    """End one of the sessions of *who*; in force at its next request.

    Raises:
        NotFound: code ``session-not-found``.
    """
    actor = actor_of(who.user, address=visitor.address, request=visitor.request)
    with portal.database.write() as session:
        if not sessions.delete_session(session, session_id, user_name=who.user):
            raise NotFound("session-not-found", "this session has ended already: reload the page")
        details = {"session": session_id}
        add_audit(session, "session-revoked", subject=who.user, actor=actor, now=now, details=details)


def forget_sessions(portal: Portal, *, now: datetime) -> None:
    """Remove the rows of sessions that have ended by themselves."""
    idle = timedelta(seconds=portal.settings.session_idle_s)
    with portal.database.write() as session:
        sessions.delete_ended(session, expired_before=now, seen_before=now - idle)


def _count(
    portal: Portal, user: UserRecord | None, sources: tuple[str, ...], *, visitor: Visitor, now: datetime
) -> None:
    with portal.database.write() as session:
        for source in sources:
            guesses.count_failure(session, source, now=now)
        add_audit(
            session,
            "login-failed",
            # What is typed for a name may be the password.
            subject="unknown user" if user is None else user.name,
            actor=Actor("visitor", address=visitor.address, request=visitor.request),
            now=now,
            details={"code": "disabled" if user is not None and user.disabled is not None else "wrong"},
        )


def _begin(
    portal: Portal,
    user: UserRecord,
    fresh: UserRecord,
    *,
    secret: str,
    visitor: Visitor,
    now: datetime,
) -> SessionRecord:
    with portal.database.write() as session:
        current = users.lock_user(session, user.name)
        if current is None or current.disabled is not None or current.password_hash != user.password_hash:
            # Meanwhile the user was disabled or given another password.
            raise NotAuthenticated("login-wrong", "this user was changed at this moment: log in again")
        users.write_user(session, replace(current, password_hash=fresh.password_hash))
        guesses.forgive(session, guesses_of(user.name))
        return begin_session(session, portal, current, secret=secret, visitor=visitor, now=now)


def _rehashed(user: UserRecord, password: str) -> UserRecord:
    if not passwords.is_outdated(user.password_hash):
        return user
    return replace(user, password_hash=passwords.hash_password(password))


def _delayed(wait_s: int) -> ServerError:
    return Throttled(
        "login-delayed",
        f"too many wrong passwords for this name or from this address: wait {wait_s} s, then try again",
        retry_after_s=wait_s,
    )


def signed_in_of(record: SessionRecord, role: str) -> SignedIn:
    """Who is logged in by that row, with his *role* of now."""
    return SignedIn(
        session_id=record.session_id,
        user=record.user_name,
        role=Role(role),
        created=record.created,
        seen=record.seen,
        expires=record.expires,
    )


def _user_session(record: SessionRecord) -> UserSession:
    return UserSession(
        session_id=record.session_id,
        created=record.created,
        seen=record.seen,
        expires=record.expires,
        address=record.address,
        user_agent=record.user_agent,
    )
