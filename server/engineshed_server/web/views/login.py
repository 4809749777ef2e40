"""Logging in and out, and the page on which the first owner is made."""

from __future__ import annotations

from flask import Response, flash, request, url_for

from engineshed_server.api.context import now, portal
from engineshed_server.domain.roles import MAX_NAME_CHARS, Role
from engineshed_server.errors import ServerError
from engineshed_server.services import logins, owner_links, passwords
from engineshed_server.web import forms
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import find_person, forget, person, remember, visitor
from engineshed_server.web.rendering import go_to, render, render_again

pages = Pages("login")


@pages.get("/login", needs=None)
def show_login() -> Response:
    """The form; who is logged in goes on at once."""
    going_to = forms.local_path(request.args.get("next"))
    return render("login.html", going_to=going_to) if find_person() is None else go_to(going_to)


@pages.post("/login", needs=None)
def log_in() -> Response:
    """Begin a session, and go on where somebody was going to."""
    going_to = forms.local_path(forms.text("next"))
    name = forms.text("name", max_chars=MAX_NAME_CHARS * 2)
    try:
        begun = logins.log_in(
            portal(), name=name, password=forms.secret("password"), visitor=visitor(), now=now()
        )
    except ServerError as err:
        return render_again("login.html", err, name=name, going_to=going_to)
    return remember(go_to(going_to), begun)


@pages.get(owner_links.PATH, needs=None)
def show_first_owner() -> Response:
    """The form; the link's code is put into it by the browser, or by hand."""
    return render("first_owner.html", min_chars=passwords.MIN_CHARS)


@pages.post(owner_links.PATH, needs=None)
def make_first_owner() -> Response:
    """Make the owner, and log him in."""
    name, code = forms.text("name", max_chars=MAX_NAME_CHARS * 2), forms.text("code")
    try:
        forms.check_same("password", "again")
        begun = owner_links.redeem_owner_link(
            portal(), code=code, name=name, password=forms.secret("password"), visitor=visitor(), now=now()
        )
    except ServerError as err:
        return render_again("first_owner.html", err, name=name, code=code, min_chars=passwords.MIN_CHARS)
    answer = remember(go_to(url_for("web.home.show_home")), begun)
    flash(f"{begun.signed_in.user} is an owner of this portal now.", "good")
    return answer


@pages.post("/logout", needs=Role.VIEWER)
def log_out() -> Response:
    """End the session."""
    logins.log_out(portal(), person(), visitor=visitor(), now=now())
    answer = forget(go_to(url_for("web.login.show_login")))
    flash("You are logged out.", "good")
    return answer
