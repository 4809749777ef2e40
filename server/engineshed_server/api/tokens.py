"""Who is asking: the bearer token of an engine or of an operator, RFC 6750.

Operators carry API tokens with a scope, engines carry short access tokens. Neither is ever accepted
for the other: the routes say which they want.
"""

from __future__ import annotations

import re

from flask import Request

from engineshed_server.api.context import now, portal
from engineshed_server.errors import NotAuthenticated
from engineshed_server.services import access, api_tokens
from engineshed_server.services.api_tokens import READERS, RELEASE_READERS, ApiToken, Scope

MAX_HEADER_CHARS = 4096
_BEARER = re.compile(r"[Bb]earer +([A-Za-z0-9._~+/=-]+)", re.ASCII)


def bearer(request: Request) -> str:
    """The token of the request.

    Raises:
        NotAuthenticated: code ``token-missing``.
    """
    header = request.headers.get("Authorization", "")
    found = _BEARER.fullmatch(header) if len(header) <= MAX_HEADER_CHARS else None
    if found is None:
        raise NotAuthenticated("token-missing", "no token came along: send Authorization: Bearer TOKEN")
    return found.group(1)


def operator(request: Request, allowed: frozenset[Scope] = READERS) -> ApiToken:
    """The API token that asks; its scope is one of *allowed*.

    Raises:
        NotAuthenticated, NotAllowed.
    """
    return api_tokens.verify_api_token(portal(), bearer(request), allowed=allowed, now=now())


def engine(request: Request) -> str:
    """The id of the engine that asks, approved or not.

    Raises:
        NotAuthenticated: no token, or one that is wrong, expired or revoked.
    """
    return access.verify_engine(portal(), bearer(request), now=now())


def approved_engine(request: Request) -> str:
    """The id of the engine that asks, when an admin has let it in.

    Raises:
        NotAuthenticated: as ``engine``.
        NotAllowed: code ``engine-waiting``.
    """
    return access.verify_approved_engine(portal(), bearer(request), now=now())


def reader_of_packages(request: Request) -> None:
    """Let an engine or an operator through to the packages.

    Raises:
        NotAuthenticated: neither.
        NotAllowed: code ``engine-waiting``.
    """
    token = bearer(request)
    if token.count(".") == 2:  # an access token is a JWT, an API token has no dots
        access.verify_approved_engine(portal(), token, now=now())
    else:
        api_tokens.verify_api_token(portal(), token, allowed=RELEASE_READERS, now=now())
