"""Users: who may log in, and what each may do."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, url_for

from engineshed_server.api.context import now, portal
from engineshed_server.domain.roles import MAX_NAME_CHARS, Role
from engineshed_server.errors import ServerError
from engineshed_server.services import passwords, users
from engineshed_server.web import forms
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import actor, person
from engineshed_server.web.rendering import go_to, render, render_again

pages = Pages("users")


@pages.get("/users", needs=Role.OWNER)
def list_users() -> Response:
    """All users, and the form to add one."""
    return render("users.html", **_values())


@pages.post("/users", needs=Role.OWNER)
def create_user() -> Response:
    """Let somebody log in."""
    name = forms.text("name", max_chars=MAX_NAME_CHARS * 2)
    role = forms.choice("role", Role)
    try:
        made = users.create_user(
            portal(), name=name, password=forms.secret("password"), role=role, actor=actor(), now=now()
        )
    except ServerError as err:
        return render_again("users.html", err, name=name, role=role, **_values())
    return _done(
        f"{made.name} may log in now, as {made.role.value}. Tell the password, to be changed at Account."
    )


@pages.post("/users/<name:user>/role", needs=Role.OWNER)
def change_role(user: str) -> Response:
    """Give a user another role."""
    changed = users.change_role(portal(), user, role=forms.choice("role", Role), actor=actor(), now=now())
    return _done(f"{changed.name} is {changed.role.value} now.")


@pages.post("/users/<name:user>/password", needs=Role.OWNER)
def set_password(user: str) -> Response:
    """Give a user another password; his sessions end, one's own of this browser does not."""
    keeps = person().session_id if user == person().user else None
    changed = users.set_password(
        portal(), user, password=forms.secret("password"), actor=actor(), now=now(), keeps=keeps
    )
    return _done(f"{changed.name} has another password now, and is logged out.")


@pages.post("/users/<name:user>/disable", needs=Role.OWNER)
def disable_user(user: str) -> Response:
    """Keep a user out."""
    changed = users.disable_user(portal(), user, actor=actor(), now=now())
    return _done(f"{changed.name} is disabled, and logged out everywhere.")


@pages.post("/users/<name:user>/enable", needs=Role.OWNER)
def enable_user(user: str) -> Response:
    """Let a user in again."""
    changed = users.enable_user(portal(), user, actor=actor(), now=now())
    return _done(f"{changed.name} may log in again.")


def _done(text: str) -> Response:
    flash(text, "good")
    return go_to(url_for("web.users.list_users"))


def _values() -> dict[str, Any]:
    return {"users": users.list_users(portal()), "min_chars": passwords.MIN_CHARS}
