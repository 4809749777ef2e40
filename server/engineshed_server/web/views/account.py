"""Account: one's own password, and the browsers in which one is logged in."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, url_for

from engineshed_server.api.context import now, portal
from engineshed_server.domain.roles import Role
from engineshed_server.errors import ServerError
from engineshed_server.services import logins, passwords, users
from engineshed_server.web import forms
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import actor, person, visitor
from engineshed_server.web.rendering import go_to, render, render_again

pages = Pages("account")


@pages.get("/account", needs=Role.VIEWER)
def show_account() -> Response:
    """Password and sessions."""
    return render("account.html", **_values())


@pages.post("/account/password", needs=Role.VIEWER)
def change_password() -> Response:
    """Another password; other browsers are logged out."""
    try:
        forms.check_same("password", "again")
        logins.confirm_password(
            portal(), person(), password=forms.secret("current"), visitor=visitor(), now=now()
        )
        users.set_password(
            portal(),
            person().user,
            password=forms.secret("password"),
            actor=actor(),
            now=now(),
            keeps=person().session_id,
        )
    except ServerError as err:
        return render_again("account.html", err, **_values())
    flash("Your password is changed. Everywhere else you are logged out.", "good")
    return go_to(url_for("web.account.show_account"))


@pages.post("/account/sessions/<name:session_id>/revoke", needs=Role.VIEWER)
def revoke_session(session_id: str) -> Response:
    """Log out another browser."""
    logins.revoke_session(portal(), person(), session_id, visitor=visitor(), now=now())
    flash("That browser is logged out.", "good")
    return go_to(url_for("web.account.show_account"))


def _values() -> dict[str, Any]:
    return {
        "user": users.show_user(portal(), person().user),
        "sessions": logins.list_sessions(portal(), person(), now=now()),
        "min_chars": passwords.MIN_CHARS,
    }
