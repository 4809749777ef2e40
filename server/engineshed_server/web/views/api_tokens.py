"""API tokens: what programs of people may ask this portal for."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, url_for

from engineshed_server.api.context import now, portal
from engineshed_server.domain.roles import Role
from engineshed_server.errors import ServerError
from engineshed_server.services import api_tokens
from engineshed_server.services.api_tokens import Scope
from engineshed_server.web import forms, queries
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import actor
from engineshed_server.web.rendering import go_to, render, render_again

pages = Pages("api_tokens")

_DAY_S = 86400
_FIRST = {"name": "", "days": "90", "scope": Scope.VIEWER.value}


@pages.get("/tokens", needs=Role.ADMIN)
def list_tokens() -> Response:
    """All tokens, and the form to make one."""
    return render("api_tokens.html", **_values())


@pages.post("/tokens", needs=Role.ADMIN)
def create_token() -> Response:
    """Make a token; it is on this one page only, so nothing is gone to."""
    typed = {name: forms.text(name) for name in _FIRST}
    try:
        made = api_tokens.create_api_token(
            portal(),
            name=typed["name"],
            scope=forms.choice("scope", Scope),
            expires_s=forms.whole("days") * _DAY_S if typed["days"] else None,
            actor=actor(),
            now=now(),
        )
    except ServerError as err:
        return render_again("api_tokens.html", err, **{**_values(), "typed": typed})
    return render("api_token_made.html", made=made)


@pages.post("/tokens/<name:token_id>/revoke", needs=Role.ADMIN)
def revoke_token(token_id: str) -> Response:
    """Take a token out of force."""
    revoked = api_tokens.revoke_api_token(portal(), token_id, actor=actor(), now=now())
    flash(f"{revoked.name} is revoked, in every process within a second.", "good")
    return go_to(url_for("web.api_tokens.list_tokens"))


def _values() -> dict[str, Any]:
    page = api_tokens.newest_api_tokens(
        portal(), limit=queries.PAGE_LINES, after=queries.place("after", parts=2)
    )
    return {
        "tokens": page.tokens,
        "pages": queries.pages_of(queries.written(page.after)),
        "typed": _FIRST,
        "max_days": api_tokens.MAX_LIFE.days,
        "now": now(),
    }
