"""Joining: an admin makes a token, its one line is pasted on a host, the engine gets an identity.

A token is consumed in one guarded UPDATE: of two hosts with the last use, one joins. Failed guesses are
counted per address in the database, so that all processes count together, and cost growing waits. Only
wrong answers wait: a good token joins at once from any address. Its 160 bits cannot be guessed, however
often one tries; the waits are there to bound the load and the audit of one who tries all the same.

The address is that of the connection, or behind web servers that ``web.proxies`` names the one they tell.
Behind others every host has the same address: who guesses there delays the wrong answers to all, and
nobody's joining.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from engineshed_packages.enrolment import EnrolAnswer, EnrolLine, EnrolRequest
from engineshed_packages.ids import new_id
from engineshed_packages.target import DEFAULT_CHANNEL
from engineshed_server.db import engines, tokens
from engineshed_server.db.audit import add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAuthenticated, Refused, Throttled
from engineshed_server.services.portal import REPOSITORY, Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.secret_texts import hash_secret, new_secret

MAX_USES = 100_000
MAX_EXPIRES_S = 366 * 86400
FREE_FAILURES = 5  # a person who pastes badly is not punished
MAX_WAIT_S = 900
FORGET_AFTER = timedelta(hours=1)  # without a failure in between, the count starts anew
_GROUP = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolToken:
    """A token just made; ``line`` holds it and cannot be seen again."""

    token_id: str
    line: EnrolLine
    group: str
    uses: int
    expires: datetime

    def __repr__(self) -> str:
        return f"EnrolToken(token_id={self.token_id!r}, group={self.group!r})"


def create_enrol_token(
    portal: Portal, *, group: str, uses: int, expires_s: int, actor: Actor, now: datetime
) -> EnrolToken:
    """Make a token with which *uses* engines may join *group* within *expires_s* seconds.

    Raises:
        Refused: code ``enrol-token-terms``.
    """
    _check_terms(group, uses, expires_s=expires_s)
    secret, token_id, expires = new_secret("join"), new_id("tok"), now + timedelta(seconds=expires_s)
    record = tokens.EnrolTokenRecord(
        token_id=token_id,
        token_hash=hash_secret(secret),
        group=group,
        uses_left=uses,
        expires=expires,
        created=now,
    )
    with portal.database.write() as session:
        tokens.add_enrol_token(session, record)
        add_audit(
            session,
            "enrol-token-created",
            subject=token_id,
            actor=actor,
            now=now,
            details={"group": group, "uses": uses, "expires_s": expires_s},
        )
    line = EnrolLine(
        portal=portal.settings.public_url,
        token=secret,
        order_key=portal.identity.order_key.fingerprint,
        standby=portal.identity.standby_key.fingerprint,
        ca=portal.identity.ca_fingerprint,
    )
    return EnrolToken(token_id=token_id, line=line, group=group, uses=uses, expires=expires)


def _check_terms(group: str, uses: int, *, expires_s: int) -> None:
    if not _GROUP.fullmatch(group):
        raise Refused(
            "enrol-token-terms", f"{group[:80]!r} names no group: expected a-z, 0-9 and inner . _ -"
        )
    if not 1 <= uses <= MAX_USES or not 1 <= expires_s <= MAX_EXPIRES_S:
        raise Refused(
            "enrol-token-terms",
            f"found {uses} uses and {expires_s} seconds, expected 1 to {MAX_USES} uses "
            f"and 1 to {MAX_EXPIRES_S} seconds",
        )


def enrol(portal: Portal, request: EnrolRequest, *, address: str, now: datetime) -> EnrolAnswer:
    """Give the host at *address* an engine's identity for a valid token.

    Raises:
        NotAuthenticated: ``enrol-token-unknown``, ``enrol-token-used`` or ``enrol-token-expired``.
        Throttled: ``enrol-delayed``: the token is no good and too many before it were not, from this
            address; which of the three above it is remains to be told after the wait.
    """
    source = f"enrol:{address}"[:200]
    _check_wait(portal, source, token_hash=hash_secret(request.token), now=now)
    secret = new_secret("engine")
    engine_id = run_again_when_raced(lambda: _join(portal, request, source=source, secret=secret, now=now))
    if isinstance(engine_id, NotAuthenticated):
        raise engine_id
    identity = portal.identity
    return EnrolAnswer(
        portal=identity.portal_id,
        engine=engine_id,
        secret=secret,
        order_keys=(identity.order_key, identity.standby_key),
        portals=(portal.settings.public_url,),
        repository=REPOSITORY,
        poll_s=portal.settings.poll_s,
    )


def _join(
    portal: Portal, request: EnrolRequest, *, source: str, secret: str, now: datetime
) -> str | NotAuthenticated:
    """The new engine's id, or why there is none.

    The refusal is returned and not raised: raised in here it would roll back its own count.
    """
    token_hash, engine_id = hash_secret(request.token), new_id("eng")
    actor = Actor("enrolment", address=source.partition(":")[2])
    with portal.database.write() as session:
        joined = tokens.consume_enrol_token(session, token_hash, now=now)
        found = tokens.find_enrol_token(session, token_hash)
        if joined and found is not None:
            engine = _new_engine(request, engine_id, group=found.group, secret=secret, now=now)
            engines.add_engine(session, engine)
            details = {"token": found.token_id, "group": found.group, "host_name": request.host_name}
            add_audit(session, "engine-enrolled", subject=engine_id, actor=actor, now=now, details=details)
            return engine_id
        _count_failure(session, source, now=now)
        subject = "unknown token" if found is None else found.token_id
        add_audit(session, "enrolment-failed", subject=subject, actor=actor, now=now)
        return _why(found, now=now)


def _new_engine(
    request: EnrolRequest, engine_id: str, *, group: str, secret: str, now: datetime
) -> engines.EngineRecord:
    return engines.EngineRecord(
        engine_id=engine_id,
        product=request.product,
        platform=request.platform,
        group=group,
        channel=DEFAULT_CHANNEL,
        host_name=request.host_name[:200],
        secret_hash=hash_secret(secret),
        state=engines.ENROLLED,
        version=None if request.version is None else request.version.text,
        version_at=now,
        enrolled=now,
        revoked=None,
        presence=None,
    )


def _why(found: tokens.EnrolTokenRecord | None, *, now: datetime) -> NotAuthenticated:
    if found is None:
        return NotAuthenticated(
            "enrol-token-unknown", "the enrolment token is not one of this portal's: copy the line whole"
        )
    if found.expires <= now:
        return NotAuthenticated(
            "enrol-token-expired", f"the enrolment token {found.token_id} has expired: make a new one"
        )
    return NotAuthenticated(
        "enrol-token-used", f"the enrolment token {found.token_id} has no use left: make a new one"
    )


def _check_wait(portal: Portal, source: str, *, token_hash: str, now: datetime) -> None:
    with portal.database.read() as session:
        throttle = tokens.find_throttle(session, source)
        found = tokens.find_enrol_token(session, token_hash)
    is_good = found is not None and found.uses_left > 0 and found.expires > now
    if throttle is not None and throttle.wait_until > now and not is_good:
        wait_s = int((throttle.wait_until - now).total_seconds()) + 1
        raise Throttled(
            "enrol-delayed",
            f"too many failed enrolments from this address: wait {wait_s} s",
            retry_after_s=wait_s,
        )


def _count_failure(session: Session, source: str, *, now: datetime) -> None:
    tokens.forget_throttles(session, before=now - FORGET_AFTER)
    before = tokens.lock_throttle(session, source)
    failures = 1 if before is None or before.failed < now - FORGET_AFTER else before.failures + 1
    # 0, 0, 0, 0, 0, 1, 2, 4, … seconds: a script is slowed down, a person is not.
    wait_s = 0 if failures <= FREE_FAILURES else min(2 ** min(failures - FREE_FAILURES - 1, 30), MAX_WAIT_S)
    throttle = tokens.Throttle(
        source=source, failures=failures, failed=now, wait_until=now + timedelta(seconds=wait_s)
    )
    tokens.write_throttle(session, throttle)
