"""Joining: a host shows an admin's token and gets an identity, a new one or that of the engine it replaces.

A token is consumed in one guarded UPDATE: of two hosts with the last use, one joins. Its terms are looked
at in the same transaction: expiry, product, address. Failed guesses are counted per address in the
database, so that all processes count together, and cost growing waits. Only wrong answers wait: a good
token joins at once from any address it is meant for. Its 160 bits cannot be guessed, however often one
tries; the waits are there to bound the load and the audit of one who tries all the same.

The address is that of the connection, or behind web servers that ``web.proxies`` names the one they tell.
Behind others every host has the same address: who guesses there delays the wrong answers to all, and
nobody's joining; a token bound to address ranges must not be relied on there.

Who takes an engine's place keeps its id, group, channel, orders and reports. The secret from before is dead
with the commit; access tokens bought with it within one second, in every process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from engineshed_packages.enrolment import EnrolAnswer, EnrolRequest
from engineshed_packages.ids import new_id
from engineshed_packages.target import DEFAULT_CHANNEL
from engineshed_server.db import configurations, engines
from engineshed_server.db import enrol_tokens as rows
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import Details, add_audit
from engineshed_server.db.database import Session
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAllowed, NotAuthenticated, ServerError, Throttled
from engineshed_server.services.guesses import count_failure, source_of, wait_left_s
from engineshed_server.services.networks import is_within
from engineshed_server.services.portal import REPOSITORY, Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.secret_texts import hash_secret, new_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    """Who wants to join: what it says, from where, and the secret and configuration it will have."""

    request: EnrolRequest
    address: str
    secret: str
    configuration: int
    now: datetime

    @property
    def token_hash(self) -> str:
        return hash_secret(self.request.token)

    @property
    def actor(self) -> Actor:
        return Actor("enrolment", address=self.address)


def enrol(portal: Portal, request: EnrolRequest, *, address: str, now: datetime) -> EnrolAnswer:
    """Give the host at *address* an engine's identity for a valid token.

    Raises:
        NotAuthenticated: ``enrol-token-unknown``, ``enrol-token-used``, ``enrol-token-expired`` or
            ``enrol-token-revoked``.
        NotAllowed: ``enrol-token-product`` or ``enrol-token-address``: the token is not meant for this host.
        Throttled: ``enrol-delayed``: the token is no good here and too many before it were not, from this
            address; which of the above it is remains to be told after the wait.
    """
    # What it is told of the keys and what is written down of that are the same, whatever changes meanwhile.
    known = portal.configuration
    host = _Host(
        request=request, address=address, secret=new_secret("engine"), configuration=known.number, now=now
    )
    _check_wait(portal, host)
    joined = run_again_when_raced(lambda: _join(portal, host))
    if isinstance(joined, ServerError):
        raise joined
    portal.snapshot.refresh()  # who waits, or whom it replaced, counts here at once
    return EnrolAnswer(
        portal=portal.identity.portal_id,
        engine=joined.engine_id,
        secret=host.secret,
        order_keys=known.keys,
        portals=known.addresses(portal.settings.public_url),
        repository=REPOSITORY,
        poll_s=portal.settings.poll_s,
        waiting=joined.state == engines.WAITING,
    )


def _join(portal: Portal, host: _Host) -> engines.EngineRecord | ServerError:
    """The engine the host is from now on, or why it is none.

    The refusal is returned and not raised: raised in here it would roll back its own count.
    """
    with portal.database.write() as session:
        found = rows.find_enrol_token(session, host.token_hash)
        against = _against(found, host)
        if found is not None and against is None:
            if rows.consume_enrol_token(session, host.token_hash, now=host.now):
                return _take_in(session, found, host)
            against = _used(found)  # by another host, since it was looked at
        assert against is not None
        count_failure(session, source_of("enrol", host.address), now=host.now)
        add_audit(
            session,
            "enrolment-failed",
            subject="unknown token" if found is None else found.token_id,
            actor=host.actor,
            now=host.now,
            details={"code": against.code},
        )
        return against


def _take_in(session: Session, token: rows.EnrolTokenRecord, host: _Host) -> engines.EngineRecord:
    """Write the engine; the token's use has been taken."""
    if token.replaces is not None:
        return _replace(session, token, host)
    engine = _new_engine(token, host)
    engines.add_engine(session, engine)
    current = configurations.find_current(session)
    if engine.state == engines.WAITING or current is None or current.number != engine.configuration:
        portal_rows.bump_generation(session)
    add_audit(
        session,
        "engine-enrolled",
        subject=engine.engine_id,
        actor=host.actor,
        now=host.now,
        details={"token": token.token_id},
        after=_facts(engine),
    )
    return engine


def _replace(session: Session, token: rows.EnrolTokenRecord, host: _Host) -> engines.EngineRecord:
    """Put the host in the place of the engine the token is bound to."""
    assert token.replaces is not None
    before = engines.lock_engine(session, token.replaces)
    assert before is not None  # no engine is ever deleted
    fresh = _new_engine(token, host)
    engine = replace(fresh, engine_id=before.engine_id, group=before.group, channel=before.channel)
    # Nobody was faster: the row is locked.
    assert engines.replace_identity(session, engine, before=before)
    portal_rows.bump_generation(session)
    add_audit(
        session,
        "engine-replaced",
        subject=engine.engine_id,
        actor=host.actor,
        now=host.now,
        details={"token": token.token_id},
        before=_facts(before),
        after=_facts(engine),
    )
    return engine


def _new_engine(token: rows.EnrolTokenRecord, host: _Host) -> engines.EngineRecord:
    request = host.request
    return engines.EngineRecord(
        engine_id=new_id("eng"),
        product=request.product,
        platform=request.platform,
        group=token.group,
        channel=DEFAULT_CHANNEL,
        host_name=request.host_name[:200],
        secret_hash=hash_secret(host.secret),
        state=engines.WAITING if token.needs_approval else engines.ENROLLED,
        version=None if request.version is None else request.version.text,
        version_at=host.now,
        enrolled=host.now,
        revoked=None,
        presence=None,
        token_id=token.token_id,
        address=host.address[:64] or None,
        configuration=host.configuration,
    )


def _facts(engine: engines.EngineRecord) -> Details:
    return {
        "state": engine.state,
        "product": engine.product,
        "platform": engine.platform,
        "group": engine.group,
        "host_name": engine.host_name,
        "address": engine.address,
        "version": engine.version,
    }


def _against(found: rows.EnrolTokenRecord | None, host: _Host) -> ServerError | None:
    """What speaks against joining with the token, None when nothing does."""
    if found is None:
        return NotAuthenticated(
            "enrol-token-unknown", "the enrolment token is not one of this portal's: copy the line whole"
        )
    name = f"the enrolment token {found.token_id}"
    if found.revoked is not None:
        return NotAuthenticated("enrol-token-revoked", f"{name} was revoked: ask the portal's admin")
    if found.expires <= host.now:
        return NotAuthenticated("enrol-token-expired", f"{name} has expired: make a new one")
    if found.uses_left <= 0:
        return _used(found)
    if found.product is not None and found.product != host.request.product:
        return NotAllowed(
            "enrol-token-product", f"{name} is for {found.product}, this host has {host.request.product}"
        )
    if found.networks and not is_within(host.address, found.networks):
        return NotAllowed(
            "enrol-token-address",
            f"{name} may be used from {' or '.join(found.networks)}, this host comes from "
            f"{host.address or 'an unknown address'}: make one for its network",
        )
    return None


def _used(found: rows.EnrolTokenRecord) -> NotAuthenticated:
    return NotAuthenticated(
        "enrol-token-used", f"the enrolment token {found.token_id} has no use left: make a new one"
    )


def _check_wait(portal: Portal, host: _Host) -> None:
    with portal.database.read() as session:
        wait_s = wait_left_s(session, source_of("enrol", host.address), now=host.now)
        found = rows.find_enrol_token(session, host.token_hash)
    if wait_s > 0 and _against(found, host) is not None:
        raise Throttled(
            "enrol-delayed",
            f"too many failed enrolments from this address: wait {wait_s} s",
            retry_after_s=wait_s,
        )
