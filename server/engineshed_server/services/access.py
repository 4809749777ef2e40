"""Engines prove who they are: secret for access token, access token for each request.

Whether the engine may still come is asked from the process' memory at every request, whatever the token
says. A token names the generation of the database it was issued at: a process whose memory is older looks
again first, so that an engine that has just joined and must wait is not taken for one that need not.

Wrong secrets are counted per address in the database and cost growing waits (``guesses``), known engine or
not. Only wrong ones wait: a genuine engine gets its token at once, whoever guesses for it, even from its own
address. Its secret has 160 bits: nothing is gained by the right one's being looked at.
"""

from __future__ import annotations

from datetime import datetime

from engineshed_packages.enrolment import TokenAnswer, TokenRequest
from engineshed_server.db import engines
from engineshed_server.db import portal as portal_rows
from engineshed_server.db.audit import add_audit
from engineshed_server.domain.actors import Actor
from engineshed_server.errors import NotAllowed, NotAuthenticated, ServerError, Throttled
from engineshed_server.services.access_tokens import Access
from engineshed_server.services.guesses import count_failure, source_of, wait_left_s
from engineshed_server.services.portal import Portal
from engineshed_server.services.racing import run_again_when_raced
from engineshed_server.services.secret_texts import is_secret
from engineshed_server.services.snapshot import Snapshot

_NO_HASH = "0" * 64  # an unknown engine costs the same comparison as a known one with a wrong secret


def check_not_barred(engine_id: str, state: str) -> None:
    """Let an engine pass that is enrolled or waits for approval.

    Raises:
        NotAuthenticated: ``engine-revoked`` or ``engine-rejected``.
    """
    if state == engines.REVOKED:
        raise NotAuthenticated(
            "engine-revoked",
            f"engine {engine_id} is revoked on this portal: enrol it anew when that was no intention",
        )
    if state == engines.REJECTED:
        raise NotAuthenticated(
            "engine-rejected",
            f"engine {engine_id} was not approved on this portal: ask its admin, who can still approve it",
        )


def refuse_waiting(engine_id: str) -> NotAllowed:
    """The error for an engine that asks for more than it is given before it is approved."""
    return NotAllowed(
        "engine-waiting",
        f"engine {engine_id} waits for approval by the portal's admin: until then it is given nothing",
    )


def issue(portal: Portal, request: TokenRequest, *, address: str, now: datetime) -> TokenAnswer:
    """Give an engine an access token for its secret; one that waits for approval may poll with it.

    Raises:
        NotAuthenticated: ``engine-secret-wrong`` (also for an engine nobody knows), ``engine-revoked`` or
            ``engine-rejected``.
        Throttled: ``token-delayed``: the secret is wrong, and so were too many before it, from this address.
    """
    with portal.database.read() as session:
        known = engines.find_credential(session, request.engine)
        generation = portal_rows.get_generation(session)
    right = is_secret(request.secret, _NO_HASH if known is None else known.secret_hash)
    if known is None or not right:
        subject = "unknown engine" if known is None else request.engine
        wrong = _refuse_guess(portal, address, subject=subject, now=now)
        raise wrong or NotAuthenticated(
            "engine-secret-wrong",
            f"engine {request.engine} is unknown or its secret is wrong: after a re-enrolment only the "
            "host that joined last has the right one",
        )
    check_not_barred(request.engine, known.state)
    lifetime_s = portal.settings.access_token_s
    token = portal.access.issue(
        request.engine, lifetime_s=lifetime_s, now=now, secret_no=known.secret_no, generation=generation
    )
    return TokenAnswer(access_token=token, expires_s=lifetime_s)


def _refuse_guess(portal: Portal, address: str, *, subject: str, now: datetime) -> ServerError | None:
    """Count a wrong secret from *address*; an error instead when who guesses there has to wait."""
    source = source_of("token", address)
    with portal.database.read() as session:
        wait_s = wait_left_s(session, source, now=now)
    if wait_s > 0:
        return Throttled(
            "token-delayed",
            f"too many wrong secrets of engines from this address: wait {wait_s} s",
            retry_after_s=wait_s,
        )

    def count() -> None:
        with portal.database.write() as session:
            count_failure(session, source, now=now)
            actor = Actor("engine", address=address)
            add_audit(session, "engine-secret-wrong", subject=subject, actor=actor, now=now)

    run_again_when_raced(count)
    return None


def verify_engine(portal: Portal, token: str, *, now: datetime) -> str:
    """The id of the engine that *token* was issued to, approved or not; no SQL.

    Raises:
        NotAuthenticated: codes of ``AccessTokens.verify``, ``engine-revoked``, ``engine-rejected`` and
            ``engine-replaced``.
        TryLater: this process does not know the engine yet, and the database is away.
    """
    access = portal.access.verify(token, now=now)
    if access.generation > portal.snapshot.current().generation:
        portal.snapshot.refresh()
    return _check_may_come(access, portal.snapshot.current())


def recall_engine(portal: Portal, token: str, *, now: datetime) -> str | None:
    """As ``verify_engine``, for who must not wait: None when more than memory is to be asked.

    That is a token this process has not verified before, one that is over, and one that is younger than
    what this process knows.

    Raises:
        NotAuthenticated: codes ``engine-revoked``, ``engine-rejected`` and ``engine-replaced``.
    """
    access, snapshot = portal.access.recall(token), portal.snapshot.current()
    if access is None or now >= access.expires or access.generation > snapshot.generation:
        return None
    return _check_may_come(access, snapshot)


def _check_may_come(access: Access, snapshot: Snapshot) -> str:
    check_not_barred(access.engine_id, snapshot.state_of(access.engine_id))
    if access.secret_no < snapshot.secret_numbers.get(access.engine_id, 1):
        raise NotAuthenticated(
            "engine-replaced",
            f"another host has joined in the place of engine {access.engine_id}: enrol this one anew",
        )
    return access.engine_id


def verify_approved_engine(portal: Portal, token: str, *, now: datetime) -> str:
    """The id of the engine that *token* was issued to, when it does not wait for approval; no SQL.

    Raises:
        NotAuthenticated, TryLater: as ``verify_engine``.
        NotAllowed: code ``engine-waiting``.
    """
    engine_id = verify_engine(portal, token, now=now)
    if portal.snapshot.current().state_of(engine_id) == engines.WAITING:
        raise refuse_waiting(engine_id)
    return engine_id
