"""The link that makes an owner: printed once on the portal's host, good for one use within a day.

Its secret stands behind the ``#`` of the address: browsers keep that to themselves, so it is in no log of any
server and in no Referer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from engineshed_server.db import owner_links
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.roles import Role
from engineshed_server.errors import NotAuthenticated, ServerError, Throttled
from engineshed_server.services import guesses
from engineshed_server.services.logins import NewSession, Visitor, begin_session, signed_in_of
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.secret_texts import hash_secret, new_secret
from engineshed_server.services.users import actor_of, add_user, new_user

LIFE = timedelta(days=1)
PATH = "/first-owner"  # of the page that takes it
MAX_CODE_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerLink:
    """A link just made; it cannot be seen again."""

    address: str
    expires: datetime

    def __repr__(self) -> str:
        return f"OwnerLink(expires={self.expires!r})"


def make_owner_link(session: Session, *, public_url: str, actor: Actor, now: datetime) -> OwnerLink:
    """Make a link within a transaction; earlier ones are good for nothing any more."""
    code = new_secret("owner")
    expires = now + LIFE
    owner_links.replace_owner_link(session, hash_secret(code), now=now, expires=expires)
    add_audit(session, "owner-link-created", subject="owner link", actor=actor, now=now)
    return OwnerLink(address=f"{public_url.rstrip('/')}{PATH}#{code}", expires=expires)


def create_owner_link(portal: Portal, *, actor: Actor, now: datetime) -> OwnerLink:
    """Make a link that makes another owner; earlier ones are good for nothing any more."""
    with portal.database.write() as session:
        return make_owner_link(session, public_url=portal.settings.public_url, actor=actor, now=now)


def redeem_owner_link(
    portal: Portal, *, code: str, name: str, password: str, visitor: Visitor, now: datetime
) -> NewSession:
    """Use the link up: its holder is an owner from now on, and logged in.

    Raises:
        NotAuthenticated: code ``owner-link-unknown``: used, replaced, over, or none at all.
        Refused: ``user-name``, ``password-weak``. Conflict: ``user-exists``; the link is still good then.
        Throttled: ``login-delayed``. TryLater: ``login-busy``.
    """
    token_hash, secret = hash_secret(code.strip()[:MAX_CODE_CHARS]), new_secret("session")
    _check_link(portal, token_hash, visitor=visitor, now=now)
    record = new_user(name=name, password=password, role=Role.OWNER, now=now)
    actor = actor_of(record.name, address=visitor.address, request=visitor.request)

    def redeem() -> NewSession:
        with portal.database.write() as session:
            if not owner_links.consume_owner_link(session, token_hash, now=now):
                raise _unknown()  # somebody else was faster
            add_user(session, record, actor=actor, now=now)
            begun = begin_session(session, portal, record, secret=secret, visitor=visitor, now=now)
            return NewSession(signed_in=signed_in_of(begun, record.role), secret=secret)

    return run_again_when_raced(redeem)


def _check_link(portal: Portal, token_hash: str, *, visitor: Visitor, now: datetime) -> None:
    """Count and refuse a link that is none, before anything costly is done for it."""
    source = guesses.source_of("owner-link", visitor.address)
    with portal.database.read() as session:
        wait_s = guesses.wait_left_s(session, source, now=now)
        good = owner_links.is_good_owner_link(session, token_hash, now=now)
    if good:
        return  # there is nothing to guess in 160 bits: whoever has it need not wait for who has not
    if wait_s:
        message = f"too many links from this address were none: wait {wait_s} s, then try again"
        raise Throttled("login-delayed", message, retry_after_s=wait_s)
    run_again_when_raced(lambda: _count(portal, source, visitor=visitor, now=now))
    raise _unknown()


def _count(portal: Portal, source: str, *, visitor: Visitor, now: datetime) -> None:
    with portal.database.write() as session:
        guesses.count_failure(session, source, now=now)
        visitors = Actor("visitor", address=visitor.address, request=visitor.request)
        add_audit(session, "owner-link-failed", subject="owner link", actor=visitors, now=now)


def _unknown() -> ServerError:
    return NotAuthenticated(
        "owner-link-unknown",
        "the link was used, is older than a day, or is not whole: print another one on the portal's host, "
        "with `engineshed-server user owner-link`",
    )
