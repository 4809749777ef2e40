"""Engines: the list, and one engine with what it runs, what it gets and why, and what can be done to it."""

from __future__ import annotations

from flask import Response, flash, request, url_for

from engineshed_server.api.context import now, portal
from engineshed_server.domain.engine_lists import EngineSearch, Show, Sort
from engineshed_server.domain.groups import MAX_GROUP_CHARS
from engineshed_server.domain.revisions import ANY_REVISION
from engineshed_server.domain.roles import Role
from engineshed_server.errors import Refused, ServerError
from engineshed_server.services import approval, engine_edits, engines, ordering
from engineshed_server.services.engine_edits import MAX_NOTES_CHARS, EngineChange
from engineshed_server.services.engine_lists import PAGE_LINES, find_engines
from engineshed_server.services.engine_looks import look_at_engine
from engineshed_server.services.ordering import Ask
from engineshed_server.services.reasons import MAX_REASON_CHARS
from engineshed_server.web import forms, queries
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import actor
from engineshed_server.web.rendering import go_to, render, render_again

pages = Pages("engines")

_MAX_VERB_CHARS = 32
_MAX_VERSION_CHARS = 64


@pages.get("/engines", needs=Role.VIEWER)
def list_engines() -> Response:
    """A page of the engines that the address asks for."""
    search = EngineSearch(
        text=queries.word("q"),
        show=queries.choice("show", Show),
        product=queries.word("product"),
        version=queries.word("version"),
        group=queries.word("group"),
        channel=queries.word("channel"),
        sort=queries.choice("sort", Sort) or Sort.HOST,
        down="down" in request.args,
        page=queries.page_number(),
    )
    found = find_engines(portal(), search, now=now())
    return render("engines.html", found=found, address=queries.same_page)


@pages.post("/engines/move", needs=Role.ADMIN)
def move_engines() -> Response:
    """Put the engines that were ticked into another group or channel."""
    ticked = request.form.getlist("engine")[: PAGE_LINES + 1]
    change = EngineChange(group=_word("group"), channel=_word("channel"))
    if not ticked or (change.group is None and change.channel is None):
        raise Refused("move-empty", "nothing was moved: tick the engines, and choose a group or a channel")
    changed = engine_edits.change_engines(portal(), ticked, change=change, actor=actor(), now=now())
    flash(f"Engines moved: {changed} of {len(ticked)}.", "good")
    return go_to(forms.local_path(forms.text("next") or url_for("web.engines.list_engines")))


@pages.get("/engines/<name:engine_id>", needs=Role.VIEWER)
def show_engine(engine_id: str) -> Response:
    """One engine."""
    return render("engine.html", look=look_at_engine(portal(), engine_id, now=now()))


@pages.get("/engines/<name:engine_id>/now", needs=Role.VIEWER)
def show_now(engine_id: str) -> Response:
    """The part of an engine's page that looks anew."""
    return render("engines/_now.html", look=look_at_engine(portal(), engine_id, now=now()))


@pages.post("/engines/<name:engine_id>/approve", needs=Role.ADMIN)
def approve_engine(engine_id: str) -> Response:
    """Let an engine in that waits for approval, or was rejected."""
    approval.approve_engines(portal(), [engine_id], actor=actor(), now=now())
    return _done(engine_id, "The engine is approved: its next poll is answered like any other's.")


@pages.post("/engines/<name:engine_id>/reject", needs=Role.ADMIN)
def reject_engine(engine_id: str) -> Response:
    """Refuse an engine that waits for approval."""
    approval.reject_engines(portal(), [engine_id], actor=actor(), now=now())
    return _done(engine_id, "The engine is rejected. It may still be approved.")


@pages.post("/engines/<name:engine_id>/revoke", needs=Role.ADMIN)
def revoke_engine(engine_id: str) -> Response:
    """Shut an engine out."""
    engines.revoke_engine(portal(), engine_id, actor=actor(), now=now())
    return _done(engine_id, "The engine is shut out. It can join again only with an enrolment token.")


@pages.post("/engines/<name:engine_id>/hold", needs=Role.ADMIN)
def hold_engine(engine_id: str) -> Response:
    """Keep an engine as it is: nothing is offered to it by itself."""
    reason = forms.text("reason", max_chars=MAX_REASON_CHARS)
    if not reason:
        raise Refused("reason-unreadable", "say why the engine is put on hold: those who come later will ask")
    return _change(engine_id, EngineChange(hold_reason=reason), "The engine is on hold.")


@pages.post("/engines/<name:engine_id>/unhold", needs=Role.ADMIN)
def unhold_engine(engine_id: str) -> Response:
    """Let an engine be offered releases again."""
    return _change(engine_id, EngineChange(hold_reason=""), "The engine is on hold no longer.")


@pages.post("/engines/<name:engine_id>/place", needs=Role.ADMIN)
def place_engine(engine_id: str) -> Response:
    """Put an engine into another group, or let it follow another channel."""
    change = EngineChange(group=_word("group"), channel=_word("channel"))
    return _change(engine_id, change, "Group and channel are saved.")


@pages.post("/engines/<name:engine_id>/notes", needs=Role.ADMIN)
def write_notes(engine_id: str) -> Response:
    """Write what people should know of an engine."""
    # A browser counts a line's end once, and sends it as two characters.
    notes = forms.text("notes", max_chars=2 * MAX_NOTES_CHARS)
    return _change(engine_id, EngineChange(notes=notes), "The notes are saved.")


@pages.post("/engines/<name:engine_id>/orders", needs=Role.ADMIN)
def give_order(engine_id: str) -> Response:
    """Tell an engine what to do."""
    ask = Ask(
        do=forms.text("do", max_chars=_MAX_VERB_CHARS),
        version=forms.text("version", max_chars=_MAX_VERSION_CHARS) or None,
        allow_downgrade="allow_downgrade" in request.form,
        although_held="although_held" in request.form,
        message=forms.text("message", max_chars=MAX_REASON_CHARS),
    )
    try:
        given = ordering.give_order(portal(), engine_id, ask, actor=actor(), now=now())
    except ServerError as err:
        return render_again("engine.html", err, look=look_at_engine(portal(), engine_id, now=now()))
    what = given.do if given.version is None else f"{given.do} {given.version}"
    return _done(engine_id, f"Ordered: {what}. The engine takes it at its next poll.")


def _change(engine_id: str, change: EngineChange, text: str) -> Response:
    engine_edits.change_engine(
        portal(), engine_id, change=change, expected=ANY_REVISION, actor=actor(), now=now()
    )
    return _done(engine_id, text)


def _word(name: str) -> str | None:
    """The group or channel that was chosen, None for the one there is."""
    return forms.text(name, max_chars=MAX_GROUP_CHARS) or None


def _done(engine_id: str, text: str) -> Response:
    flash(text, "good")
    return go_to(url_for("web.engines.show_engine", engine_id=engine_id))
