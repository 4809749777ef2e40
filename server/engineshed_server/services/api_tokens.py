"""API tokens of operators and their programs: random, stored hashed, with a scope, revocable.

``viewer`` reads; ``support`` uploads bundles and reads releases, and learns nothing of the engines; ``admin``
does everything.

The good ones are in the snapshot of each process: a request costs no SQL, and a token that is revoked is out
everywhere within one second. One that memory does not know is looked up: it may be younger than the snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import escape_controls
from engineshed_packages.times import format_time
from engineshed_server.db import api_tokens
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.api_tokens import ApiTokenRecord
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAllowed, NotAuthenticated, NotFound, Refused
from engineshed_server.services.pages import moment_of
from engineshed_server.services.portal import Portal
from engineshed_server.services.secret_texts import hash_secret, is_secret, new_secret

MAX_SECRET_CHARS = 200
MAX_NAME_CHARS = 200
MAX_LIFE = timedelta(days=3660)


class Scope(StrEnum):
    """What an API token may do."""

    VIEWER = "viewer"
    SUPPORT = "support"
    ADMIN = "admin"


READERS = frozenset({Scope.VIEWER, Scope.ADMIN})
RELEASE_READERS = frozenset(Scope)
PUBLISHERS = frozenset({Scope.SUPPORT, Scope.ADMIN})
ADMINS = frozenset({Scope.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token's record, without its secret.

    Attributes:
        used: when it was last used, to the minute or so; None before the first time.
    """

    token_id: str
    name: str
    scope: Scope
    created: datetime
    expires: datetime | None
    used: datetime | None
    revoked: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiToken:
    """A token just made: ``secret`` is what its holder sends; it cannot be seen again."""

    token: ApiToken
    secret: str

    @property
    def token_id(self) -> str:
        """The id of the record, as revoking takes it."""
        return self.token.token_id

    @property
    def scope(self) -> Scope:
        """What it may do."""
        return self.token.scope

    def __repr__(self) -> str:
        return f"NewApiToken(token={self.token!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiTokenPage:
    """Some tokens; ``after`` is the place of the last one, None on the last page."""

    tokens: tuple[ApiToken, ...]
    after: tuple[str, str] | None


def create_api_token(
    portal: Portal, *, name: str, scope: Scope, actor: Actor, now: datetime, expires_s: int | None = None
) -> NewApiToken:
    """Make a token called *name* that lives *expires_s* seconds, or has no end.

    Raises:
        Refused: codes ``api-token-name`` and ``api-token-life``.
    """
    if not 0 < len(name) <= MAX_NAME_CHARS or escape_controls(name) != name:
        raise Refused("api-token-name", f"a token's name has 1 to {MAX_NAME_CHARS} printable characters")
    life = None if expires_s is None else timedelta(seconds=expires_s)
    if life is not None and not timedelta(0) < life <= MAX_LIFE:
        raise Refused("api-token-life", f"a token lives a second to {MAX_LIFE.days} days, or has no end")
    secret = new_secret("api")
    record = ApiTokenRecord(
        token_id=new_id("tok"),
        token_hash=hash_secret(secret),
        name=name,
        scope=scope.value,
        created=now,
        expires=None if life is None else now + life,
        used=None,
        revoked=None,
    )
    with portal.database.write() as session:
        api_tokens.add_api_token(session, record)
        # Not for the token's own sake, it would be looked up: so that it is found without SQL.
        portal_rows.bump_generation(session)
        add_audit(
            session,
            "api-token-created",
            subject=record.token_id,
            actor=actor,
            now=now,
            after=_audited(record),
        )
    return NewApiToken(token=_token(record), secret=secret)


def list_api_tokens(portal: Portal, *, limit: int, after: tuple[str, ...] | None = None) -> ApiTokenPage:
    """A page of all tokens ever made, the oldest first; *after* is that of the page before.

    Raises:
        Refused: code ``page-place``.
    """
    with portal.database.read() as session:
        return _page(api_tokens.list_api_tokens(session, limit=limit + 1, after=_place(after)), limit)


def newest_api_tokens(portal: Portal, *, limit: int, after: tuple[str, ...] | None = None) -> ApiTokenPage:
    """The same with the newest first.

    Raises:
        Refused: code ``page-place``.
    """
    with portal.database.read() as session:
        return _page(api_tokens.newest_api_tokens(session, limit=limit + 1, before=_place(after)), limit)


def _place(after: tuple[str, ...] | None) -> tuple[datetime, str] | None:
    return None if after is None else (moment_of(after[0]), after[1])


def _page(found: Sequence[ApiTokenRecord], limit: int) -> ApiTokenPage:
    page = tuple(_token(record) for record in found[:limit])
    last = (page[-1].created.isoformat(), page[-1].token_id) if len(found) > limit else None
    return ApiTokenPage(tokens=page, after=last)


def show_api_token(portal: Portal, token_id: str) -> ApiToken:
    """One token.

    Raises:
        NotFound: code ``api-token-not-found``.
    """
    with portal.database.read() as session:
        record = api_tokens.get_api_token(session, token_id)
    if record is None:
        raise _not_found(token_id)
    return _token(record)


def revoke_api_token(portal: Portal, token_id: str, *, actor: Actor, now: datetime) -> ApiToken:
    """Revoke a token, in every process within one second; one that already was stays as it is.

    Raises:
        NotFound: code ``api-token-not-found``.
    """
    with portal.database.write() as session:
        before = api_tokens.get_api_token(session, token_id)
        if before is None:
            raise _not_found(token_id)
        if api_tokens.revoke_api_token(session, token_id, now=now):
            portal_rows.bump_generation(session)
            revoked = format_time(now)
            add_audit(
                session,
                "api-token-revoked",
                subject=token_id,
                actor=actor,
                now=now,
                before=_audited(before),
                after={**_audited(before), "revoked": revoked},
            )
        after = api_tokens.get_api_token(session, token_id)
    assert after is not None  # the row was read above, and rows of tokens stay
    portal.snapshot.refresh()
    return _token(after)


def verify_api_token(portal: Portal, secret: str, *, allowed: frozenset[Scope], now: datetime) -> ApiToken:
    """Whose *secret* it is, when it is good at *now* and its scope is one of *allowed*; no SQL as a rule.

    Raises:
        NotAuthenticated: ``api-token-unknown``, ``api-token-revoked``, ``api-token-expired``.
        NotAllowed: ``api-token-scope``.
    """
    record = _find(portal, secret) if len(secret) <= MAX_SECRET_CHARS else None
    if record is None or not is_secret(secret, record.token_hash):
        raise NotAuthenticated(
            "api-token-unknown", "the API token is not one of this portal's: have one made here"
        )
    if record.revoked is not None:
        raise NotAuthenticated(
            "api-token-revoked", f"the API token {record.token_id} was revoked: have a new one made"
        )
    if record.expires is not None and now >= record.expires:
        raise NotAuthenticated(
            "api-token-expired",
            f"the API token {record.token_id} ended at {format_time(record.expires)}: have a new one made",
        )
    if Scope(record.scope) not in allowed:
        raise NotAllowed(
            "api-token-scope",
            f"the API token {record.token_id} has scope {record.scope}, "
            f"expected {' or '.join(sorted(allowed))}: send one that has it",
        )
    portal.token_use.note(record.token_id, now=now)
    return _token(record)


def _find(portal: Portal, secret: str) -> ApiTokenRecord | None:
    # Looked up by the hash of a random text: how long that takes says nothing of any other token.
    token_hash = hash_secret(secret)
    known = portal.snapshot.current().api_tokens.get(token_hash)
    if known is not None:
        return known
    with portal.database.read() as session:
        return api_tokens.find_api_token(session, token_hash)


def _not_found(token_id: str) -> NotFound:
    return NotFound("api-token-not-found", f"there is no API token {token_id[:40]!r}: see GET /api/v1/tokens")


def _audited(record: ApiTokenRecord) -> Details:
    return {
        "name": record.name,
        "scope": record.scope,
        "expires": None if record.expires is None else format_time(record.expires),
    }


def _token(record: ApiTokenRecord) -> ApiToken:
    return ApiToken(
        token_id=record.token_id,
        name=record.name,
        scope=Scope(record.scope),
        created=record.created,
        expires=record.expires,
        used=record.used,
        revoked=record.revoked,
    )
