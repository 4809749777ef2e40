"""Enrolment tokens: made by an admin on terms, shown once, listed, revoked.

    made = create_enrol_token(portal, EnrolTerms(group="berlin", uses=20), actor=actor, now=now)
    made.line.text()                 the one line that is pasted on a host; it cannot be seen again

A token with ``replaces`` is bound to one engine: who joins with it takes that engine's place, keeps its id
and history, and the secret from before is dead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from engineshed_packages.enrolment import EnrolLine
from engineshed_packages.errors import TargetRefused
from engineshed_packages.ids import new_id
from engineshed_packages.target import check_product
from engineshed_server.db import engines
from engineshed_server.db import enrol_tokens as rows
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.domain.groups import check_group
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services.networks import parse_networks
from engineshed_server.services.pages import moment_of
from engineshed_server.services.portal import Portal
from engineshed_server.services.secret_texts import hash_secret, new_secret

MAX_USES = 100_000
MAX_EXPIRES_S = 366 * 86400
DEFAULT_EXPIRES_S = 86400
MAX_NAME_CHARS = 200
MAX_LIMIT = 1000
DEFAULT_GROUP = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolTerms:
    """What a token is good for.

    Attributes:
        name: for people: what the token was made for.
        group: the engines that join belong to it.
        product: the only one that may join, None for any.
        networks: address ranges it may be used from, as CIDR; none for anywhere.
        needs_approval: who joins waits until an admin approves.
        replaces: id of the engine whose place the host takes; group and product are that engine's.
    """

    name: str = ""
    group: str = DEFAULT_GROUP
    product: str | None = None
    networks: tuple[str, ...] = ()
    needs_approval: bool = False
    replaces: str | None = None
    uses: int = 1
    expires_s: int = DEFAULT_EXPIRES_S


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolToken:
    """A token as it may be shown: everything but itself.

    Attributes:
        state: ``good``, or why nobody can join with it now: ``revoked``, ``expired`` or ``used``.
        uses, uses_left: how many may join, in all and still.
    """

    token_id: str
    state: str
    name: str
    group: str
    product: str | None
    networks: tuple[str, ...]
    needs_approval: bool
    replaces: str | None
    uses: int
    uses_left: int
    expires: datetime
    created: datetime
    revoked: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnrolToken:
    """A token just made; ``line`` holds it and cannot be seen again."""

    token: EnrolToken
    line: EnrolLine

    @property
    def text(self) -> str:
        """The line as it is pasted."""
        return self.line.text()

    def __repr__(self) -> str:
        return f"NewEnrolToken(token={self.token!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolTokenPage:
    """Some tokens by id; ``next_cursor`` is None on the last page."""

    tokens: tuple[EnrolToken, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestEnrolTokens:
    """Some tokens, the newest first; ``after`` is the place of the last one, None on the last page."""

    tokens: tuple[EnrolToken, ...]
    after: tuple[str, str] | None


def create_enrol_token(portal: Portal, terms: EnrolTerms, *, actor: Actor, now: datetime) -> NewEnrolToken:
    """Make a token on *terms*.

    Raises:
        Refused: codes ``enrol-token-terms``, ``group-name``, ``network-unreadable``, ``networks-too-many``.
        NotFound: code ``engine-unknown``: there is no engine to be replaced.
    """
    _check_terms(terms)
    networks = parse_networks(terms.networks)
    secret = new_secret("join")
    with portal.database.write() as session:
        group, product = _whose(session, terms)
        record = rows.EnrolTokenRecord(
            token_id=new_id("tok"),
            token_hash=hash_secret(secret),
            name=terms.name,
            group=group,
            product=product,
            networks=networks,
            needs_approval=terms.needs_approval,
            replaces=terms.replaces,
            uses=terms.uses,
            uses_left=terms.uses,
            expires=now + timedelta(seconds=terms.expires_s),
            created=now,
            revoked=None,
        )
        rows.add_enrol_token(session, record)
        add_audit(
            session,
            "enrol-token-created",
            subject=record.token_id,
            actor=actor,
            now=now,
            after={**_details(record), "expires_s": terms.expires_s},
        )
    return NewEnrolToken(token=_token(record, now), line=_line(portal, secret, product=product))


def _line(portal: Portal, secret: str, *, product: str | None) -> EnrolLine:
    configuration = portal.configuration
    return EnrolLine(
        portal=portal.settings.public_url,
        token=secret,
        order_key=configuration.active.fingerprint,
        standby=configuration.standby.fingerprint,
        ca=portal.identity.ca_fingerprint,
        product=product,
    )


def _check_terms(terms: EnrolTerms) -> None:
    check_group(terms.group)
    if not 1 <= terms.uses <= MAX_USES or not 1 <= terms.expires_s <= MAX_EXPIRES_S:
        raise _terms(
            f"found {terms.uses} uses and {terms.expires_s} seconds, expected 1 to {MAX_USES} uses "
            f"and 1 to {MAX_EXPIRES_S} seconds"
        )
    if len(terms.name) > MAX_NAME_CHARS or not (terms.name.isprintable() or terms.name == ""):
        raise _terms(f"a token's name has at most {MAX_NAME_CHARS} printable characters")
    if terms.product is not None:
        try:
            check_product(terms.product)
        except TargetRefused as err:
            raise _terms(err.message) from err
    if terms.replaces is not None and (terms.uses, terms.group, terms.product) != (1, DEFAULT_GROUP, None):
        raise _terms(
            "a token that replaces an engine has one use, and takes group and product from that engine: "
            "name neither"
        )


def _terms(message: str) -> Refused:
    return Refused("enrol-token-terms", message)


def _whose(session: Session, terms: EnrolTerms) -> tuple[str, str | None]:
    """Group and product of those who join."""
    if terms.replaces is None:
        return terms.group, terms.product
    engine = engines.find_engine(session, terms.replaces)
    if engine is None:
        raise NotFound(
            "engine-unknown",
            f"there is no engine {terms.replaces[:40]!r} to be replaced: see the list of engines",
        )
    return engine.group, engine.product


def list_enrol_tokens(
    portal: Portal, *, now: datetime, limit: int = 100, cursor: str | None = None
) -> EnrolTokenPage:
    """A page of all tokens ever made, by id; *cursor* is the ``next_cursor`` of the page before.

    Raises:
        Refused: code ``page-limit``.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise Refused("page-limit", f"found limit {limit}, expected 1 to {MAX_LIMIT}")
    with portal.database.read() as session:
        found = rows.list_enrol_tokens(session, limit=limit + 1, after=cursor)
    page = tuple(_token(record, now) for record in found[:limit])
    return EnrolTokenPage(tokens=page, next_cursor=page[-1].token_id if len(found) > limit else None)


def newest_enrol_tokens(
    portal: Portal, *, now: datetime, limit: int, after: tuple[str, ...] | None = None
) -> NewestEnrolTokens:
    """A page of all tokens ever made, the newest first; *after* is that of the page before.

    Raises:
        Refused: code ``page-place``.
    """
    place = None if after is None else (moment_of(after[0]), after[1])
    with portal.database.read() as session:
        found = rows.newest_enrol_tokens(session, limit=limit + 1, before=place)
    page = tuple(_token(record, now) for record in found[:limit])
    last = (page[-1].created.isoformat(), page[-1].token_id) if len(found) > limit else None
    return NewestEnrolTokens(tokens=page, after=last)


def show_enrol_token(portal: Portal, token_id: str, *, now: datetime) -> EnrolToken:
    """The token with this id.

    Raises:
        NotFound: code ``no-such-enrol-token``.
    """
    with portal.database.read() as session:
        return _token(_get(session, token_id), now)


def revoke_enrol_token(portal: Portal, token_id: str, *, actor: Actor, now: datetime) -> bool:
    """Let nobody join with a token any more, at once; false when it already was revoked.

    Raises:
        NotFound: code ``no-such-enrol-token``.
    """
    with portal.database.write() as session:
        before = _get(session, token_id)
        revoked = rows.revoke_enrol_token(session, token_id, now=now)
        if revoked:
            add_audit(
                session,
                "enrol-token-revoked",
                subject=token_id,
                actor=actor,
                now=now,
                before={"revoked": False, "uses_left": before.uses_left},
                after={"revoked": True, "uses_left": before.uses_left},
            )
    return revoked


def _get(session: Session, token_id: str) -> rows.EnrolTokenRecord:
    found = rows.get_enrol_token(session, token_id)
    if found is None:
        raise NotFound(
            "no-such-enrol-token",
            f"there is no enrolment token {token_id[:40]!r}: see the list of enrolment tokens",
        )
    return found


def _state(record: rows.EnrolTokenRecord, now: datetime) -> str:
    if record.revoked is not None:
        return "revoked"
    if record.expires <= now:
        return "expired"
    return "good" if record.uses_left > 0 else "used"


def _token(record: rows.EnrolTokenRecord, now: datetime) -> EnrolToken:
    return EnrolToken(
        token_id=record.token_id,
        state=_state(record, now),
        name=record.name,
        group=record.group,
        product=record.product,
        networks=record.networks,
        needs_approval=record.needs_approval,
        replaces=record.replaces,
        uses=record.uses_left if record.uses is None else record.uses,
        uses_left=record.uses_left,
        expires=record.expires,
        created=record.created,
        revoked=record.revoked,
    )


def _details(record: rows.EnrolTokenRecord) -> Details:
    return {
        "name": record.name,
        "group": record.group,
        "product": record.product,
        "networks": " ".join(record.networks),
        "needs_approval": record.needs_approval,
        "replaces": record.replaces,
        "uses": record.uses_left,
    }
