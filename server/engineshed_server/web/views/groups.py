"""Groups and channels: the customer's own order among its engines, and which releases they get."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, url_for

from engineshed_server.api.context import now, portal
from engineshed_server.domain.groups import MAX_GROUP_CHARS
from engineshed_server.domain.roles import Role
from engineshed_server.errors import ServerError
from engineshed_server.services import placing
from engineshed_server.services.engine_edits import EngineChange
from engineshed_server.web import forms
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import actor
from engineshed_server.web.rendering import go_to, render, render_again

pages = Pages("groups")

_MAX_CHARS = 2 * MAX_GROUP_CHARS  # one that is too long is told so by the rule itself


@pages.get("/groups", needs=Role.VIEWER)
def list_groups() -> Response:
    """All groups and channels, with how many engines are in each."""
    return render("groups.html", **_values())


@pages.post("/groups", needs=Role.ADMIN)
def create_group() -> Response:
    """Make a group."""
    name = forms.text("group", max_chars=_MAX_CHARS)
    try:
        placing.create_group(portal(), name, actor=actor(), now=now())
    except ServerError as err:
        return render_again("groups.html", err, group=name, **_values())
    return _done(f"There is a group {name} now: move engines into it.")


@pages.post("/channels", needs=Role.ADMIN)
def create_channel() -> Response:
    """Make a channel."""
    name = forms.text("channel", max_chars=_MAX_CHARS)
    try:
        placing.create_channel(portal(), name, actor=actor(), now=now())
    except ServerError as err:
        return render_again("groups.html", err, channel=name, **_values())
    return _done(f"There is a channel {name} now: let engines follow it.")


@pages.post("/groups/<name:group>/move", needs=Role.ADMIN)
def move_group(group: str) -> Response:
    """Move all engines of a group into another."""
    to = forms.text("to", max_chars=_MAX_CHARS)
    moved = placing.move_group(portal(), group, change=EngineChange(group=to), actor=actor(), now=now())
    return _done(f"Engines moved from group {group} to {to}: {moved}.")


@pages.post("/groups/<name:group>/channel", needs=Role.ADMIN)
def let_group_follow(group: str) -> Response:
    """Let all engines of a group follow a channel."""
    to = forms.text("to", max_chars=_MAX_CHARS)
    moved = placing.move_group(portal(), group, change=EngineChange(channel=to), actor=actor(), now=now())
    return _done(f"Engines of group {group} that follow channel {to} now: {moved}.")


@pages.post("/groups/<name:group>/forget", needs=Role.ADMIN)
def forget_group(group: str) -> Response:
    """Forget a group that nobody is in."""
    placing.forget_group(portal(), group, actor=actor(), now=now())
    return _done(f"There is no group {group} any more.")


@pages.post("/channels/<name:channel>/move", needs=Role.ADMIN)
def move_channel(channel: str) -> Response:
    """Let all engines that follow a channel follow another."""
    to = forms.text("to", max_chars=_MAX_CHARS)
    moved = placing.move_channel(portal(), channel, change=EngineChange(channel=to), actor=actor(), now=now())
    return _done(f"Engines moved from channel {channel} to {to}: {moved}.")


@pages.post("/channels/<name:channel>/forget", needs=Role.ADMIN)
def forget_channel(channel: str) -> Response:
    """Forget a channel that no engine follows."""
    placing.forget_channel(portal(), channel, actor=actor(), now=now())
    return _done(f"There is no channel {channel} any more.")


def _done(text: str) -> Response:
    flash(text, "good")
    return go_to(url_for("web.groups.list_groups"))


def _values() -> dict[str, Any]:
    return {"groups": placing.list_groups(portal()), "channels": placing.list_channels(portal())}
