"""API tokens of operators and their programs: random, stored hashed, with a scope, revocable.

``viewer`` reads; ``support`` publishes bundles and reads; ``admin`` does everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engineshed_packages.ids import new_id
from engineshed_server.db import tokens
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAllowed, NotAuthenticated, NotFound, Refused
from engineshed_server.services.portal import Portal
from engineshed_server.services.secret_texts import hash_secret, new_secret

MAX_SECRET_CHARS = 200
MAX_NAME_CHARS = 200


class Scope(StrEnum):
    """What an API token may do."""

    VIEWER = "viewer"
    SUPPORT = "support"
    ADMIN = "admin"


READERS = frozenset(Scope)
PUBLISHERS = frozenset({Scope.SUPPORT, Scope.ADMIN})
ADMINS = frozenset({Scope.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token's record, without its secret."""

    token_id: str
    name: str
    scope: Scope
    created: datetime
    revoked: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiToken:
    """A token just made: ``secret`` is what its holder sends; it cannot be seen again."""

    token_id: str
    secret: str
    scope: Scope

    def __repr__(self) -> str:
        return f"NewApiToken(token_id={self.token_id!r}, scope={self.scope!r})"


def create_api_token(portal: Portal, *, name: str, scope: Scope, actor: Actor, now: datetime) -> NewApiToken:
    """Make a token called *name*.

    Raises:
        Refused: code ``api-token-name``.
    """
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise Refused("api-token-name", f"a token's name has 1 to {MAX_NAME_CHARS} printable characters")
    new = NewApiToken(token_id=new_id("tok"), secret=new_secret("api"), scope=scope)
    record = tokens.ApiTokenRecord(
        token_id=new.token_id,
        token_hash=hash_secret(new.secret),
        name=name,
        scope=scope.value,
        created=now,
        revoked=None,
    )
    with portal.database.write() as session:
        tokens.add_api_token(session, record)
        add_audit(
            session,
            "api-token-created",
            subject=new.token_id,
            actor=actor,
            now=now,
            details={"name": name, "scope": scope.value},
        )
    return new


def list_api_tokens(portal: Portal) -> tuple[ApiToken, ...]:
    """All tokens ever made, the oldest first."""
    with portal.database.read() as session:
        return tuple(_token(record) for record in tokens.list_api_tokens(session))


def revoke_api_token(portal: Portal, token_id: str, *, actor: Actor, now: datetime) -> bool:
    """Revoke a token; false when it already was.

    Raises:
        NotFound: code ``api-token-unknown``.
    """
    with portal.database.write() as session:
        if tokens.get_api_token(session, token_id) is None:
            raise NotFound("api-token-unknown", f"there is no API token {token_id[:40]!r}")
        revoked = tokens.revoke_api_token(session, token_id, now=now)
        if revoked:
            add_audit(session, "api-token-revoked", subject=token_id, actor=actor, now=now)
    return revoked


def verify_api_token(portal: Portal, secret: str, *, allowed: frozenset[Scope]) -> ApiToken:
    """Whose *secret* it is, when its scope is one of *allowed*.

    Raises:
        NotAuthenticated: ``api-token-unknown``, ``api-token-revoked``.
        NotAllowed: ``api-token-scope``.
    """
    record = None
    if len(secret) <= MAX_SECRET_CHARS:
        with portal.database.read() as session:
            record = tokens.find_api_token(session, hash_secret(secret))
    if record is None:
        raise NotAuthenticated("api-token-unknown", "the API token is not one of this portal's")
    if record.revoked is not None:
        raise NotAuthenticated("api-token-revoked", f"the API token {record.token_id} was revoked")
    if Scope(record.scope) not in allowed:
        raise NotAllowed(
            "api-token-scope",
            f"the API token {record.token_id} has scope {record.scope}, "
            f"expected {' or '.join(sorted(allowed))}",
        )
    return _token(record)


def _token(record: tokens.ApiTokenRecord) -> ApiToken:
    return ApiToken(
        token_id=record.token_id,
        name=record.name,
        scope=Scope(record.scope),
        created=record.created,
        revoked=record.revoked,
    )
