"""Engines prove who they are: secret for access token, access token for each request.

Revocation is asked from the process' memory at every request, whatever the token still says.
"""

from __future__ import annotations

from datetime import datetime

from engineshed_packages.enrolment import TokenAnswer, TokenRequest
from engineshed_server.db import engines
from engineshed_server.errors import NotAuthenticated
from engineshed_server.services.portal import Portal
from engineshed_server.services.secret_texts import is_secret

_NO_HASH = "0" * 64  # an unknown engine costs the same comparison as a known one with a wrong secret


def _revoked(engine_id: str) -> NotAuthenticated:
    return NotAuthenticated(
        "engine-revoked",
        f"engine {engine_id} is revoked on this portal: enrol it anew when that was no intention",
    )


def issue(portal: Portal, request: TokenRequest, *, now: datetime) -> TokenAnswer:
    """Give an engine an access token for its secret.

    Raises:
        NotAuthenticated: ``engine-secret-wrong`` (also for an engine nobody knows) or ``engine-revoked``.
    """
    with portal.database.read() as session:
        engine = engines.find_engine(session, request.engine)
    right = is_secret(request.secret, _NO_HASH if engine is None else engine.secret_hash)
    if engine is None or not right:
        raise NotAuthenticated(
            "engine-secret-wrong", f"engine {request.engine} is unknown or its secret is wrong"
        )
    if engine.state != engines.ENROLLED:
        raise _revoked(engine.engine_id)
    lifetime_s = portal.settings.access_token_s
    token = portal.access.issue(engine.engine_id, lifetime_s=lifetime_s, now=now)
    return TokenAnswer(access_token=token, expires_s=lifetime_s)


def verify_engine(portal: Portal, token: str, *, now: datetime) -> str:
    """The id of the engine that *token* was issued to; no SQL.

    Raises:
        NotAuthenticated: codes of ``AccessTokens.verify`` and ``engine-revoked``.
    """
    access = portal.access.verify(token, now=now)
    if access.engine_id in portal.snapshot.current().revoked:
        raise _revoked(access.engine_id)
    return access.engine_id
