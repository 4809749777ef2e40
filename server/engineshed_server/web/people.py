"""Who is at the browser: the cookie of a login, and what follows from it.

The cookie is a random text, new at each login, for this host alone, out of reach of scripts, never sent along
by another site's form; its name begins ``__Host-`` where the portal is reached by https, so that no other
host of the domain can set it. Beside it Flask keeps its own signed cookie, for the tokens of forms and for
messages: it says nothing about who somebody is, and what another login has left in it is dropped.
"""

from __future__ import annotations

from flask import Flask, Response, g, request, session

from engineshed_server.api.context import client_address, now, portal
from engineshed_server.api.request_ids import request_id
from engineshed_server.domain.actors import Actor
from engineshed_server.services import logins
from engineshed_server.services.logins import NewSession, SignedIn, Visitor
from engineshed_server.services.portal import Portal
from engineshed_server.services.users import actor_of

_OF = "of"  # in Flask's cookie: the id of the session it belongs to, empty for a visitor


def configure_cookies(app: Flask, portal: Portal) -> None:
    """Sign Flask's own cookie with a key of the portal, and keep it to this host."""
    app.secret_key = portal.page_key
    app.config.update(
        SESSION_COOKIE_NAME=_name(portal, "engineshed_forms"),
        SESSION_COOKIE_SECURE=_is_https(portal),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_DOMAIN=False,
    )


def visitor() -> Visitor:
    """Where the request comes from."""
    return Visitor(
        address=client_address(), user_agent=request.headers.get("User-Agent", ""), request=request_id()
    )


def find_person() -> SignedIn | None:
    """Who is logged in; asked of the database once a request."""
    if "person" not in g:
        secret = request.cookies.get(_name(portal(), "engineshed_login"))
        g.person = None
        if secret is not None:
            # A page that looks anew by itself keeps nobody logged in.
            asks_by_itself = request.method == "GET" and "HX-Request" in request.headers
            g.person = logins.find_signed_in(
                portal(), secret, visitor=visitor(), now=now(), counts=not asks_by_itself
            )
    found: SignedIn | None = g.person
    return found


def person() -> SignedIn:
    """Who is logged in, on a page for people who are."""
    found = find_person()
    assert found is not None  # the page was declared so
    return found


def actor() -> Actor:
    """Who is logged in as the one who changes something by this request."""
    return actor_of(person().user, address=client_address(), request=request_id())


def bind_forms() -> None:
    """Drop what Flask's cookie holds unless it is of the session that asks: no token outlives its login."""
    found = find_person()
    of = "" if found is None else found.session_id
    if session.get(_OF, "") != of:
        session.clear()
        session[_OF] = of


def remember(answer: Response, begun: NewSession) -> Response:
    """*answer*, which leaves the login in the browser; what was there before is good for nothing any more."""
    here = portal()
    answer.set_cookie(
        _name(here, "engineshed_login"),
        begun.secret,
        expires=begun.signed_in.expires,
        secure=_is_https(here),
        httponly=True,
        samesite="Lax",
        path="/",
    )
    g.person = begun.signed_in
    bind_forms()
    return answer


def forget(answer: Response) -> Response:
    """*answer*, which takes the login out of the browser."""
    here = portal()
    answer.delete_cookie(
        _name(here, "engineshed_login"), secure=_is_https(here), httponly=True, samesite="Lax", path="/"
    )
    g.person = None
    bind_forms()
    return answer


def _is_https(portal: Portal) -> bool:
    return portal.settings.public_url.startswith("https:")


def _name(portal: Portal, word: str) -> str:
    return f"__Host-{word}" if _is_https(portal) else word
