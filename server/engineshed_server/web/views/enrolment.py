"""Enrolment: tokens with which engines join, and the queue of those who wait for approval."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, url_for

from engineshed_server.api.context import now, portal
from engineshed_server.domain.filters import EngineFilter
from engineshed_server.domain.roles import Role
from engineshed_server.errors import ServerError
from engineshed_server.services import approval, engines, enrol_tokens
from engineshed_server.services.enrol_tokens import DEFAULT_GROUP, EnrolTerms
from engineshed_server.web import forms, queries
from engineshed_server.web.pages import Pages
from engineshed_server.web.people import actor
from engineshed_server.web.rendering import go_to, render, render_again

pages = Pages("enrolment")

_DAY_S = 86400
_FIRST = {"name": "", "group": DEFAULT_GROUP, "product": "", "uses": "1", "days": "1", "networks": ""}


@pages.get("/enrolment", needs=Role.VIEWER)
def show_enrolment() -> Response:
    """Who waits, what tokens there are, and the form to make one."""
    return render("enrolment.html", **_values())


@pages.post("/enrolment/tokens", needs=Role.ADMIN)
def create_token() -> Response:
    """Make a token; its line is on this one page only, so nothing is gone to."""
    typed = {name: forms.text(name) for name in (*_FIRST, "replaces")}
    needs_approval = forms.checked("needs_approval")
    try:
        terms = EnrolTerms(
            name=typed["name"],
            group=typed["group"],
            product=typed["product"] or None,
            uses=forms.whole("uses"),
            expires_s=forms.whole("days") * _DAY_S,
            networks=tuple(typed["networks"].replace(",", " ").split()),
            needs_approval=needs_approval,
            replaces=typed["replaces"] or None,
        )
        made = enrol_tokens.create_enrol_token(portal(), terms, actor=actor(), now=now())
    except ServerError as err:
        again = {"typed": typed, "needs_approval": needs_approval}
        return render_again("enrolment.html", err, **{**_values(), **again})
    return render("enrolment_made.html", made=made)


@pages.post("/enrolment/tokens/<name:token_id>/revoke", needs=Role.ADMIN)
def revoke_token(token_id: str) -> Response:
    """Let nobody join with a token any more."""
    enrol_tokens.revoke_enrol_token(portal(), token_id, actor=actor(), now=now())
    return _done("The token is revoked: nobody joins with it any more. Engines that have joined stay.")


@pages.post("/enrolment/approve", needs=Role.ADMIN)
def approve() -> Response:
    """Let in those that were chosen, all or none."""
    moved = approval.approve_engines(portal(), forms.chosen("engine"), actor=actor(), now=now())
    return _decided(len(moved), "approved.")


@pages.post("/enrolment/reject", needs=Role.ADMIN)
def reject() -> Response:
    """Refuse those that were chosen, all or none."""
    moved = approval.reject_engines(portal(), forms.chosen("engine"), actor=actor(), now=now())
    return _decided(len(moved), "rejected. Who was rejected may still be approved.")


def _decided(count: int, what: str) -> Response:
    if count == 0:
        return _done("Nothing was changed: choose engines that wait.", kind="warn")
    return _done(f"1 engine is {what}" if count == 1 else f"{count} engines are {what}")


def _done(text: str, *, kind: str = "good") -> Response:
    flash(text, kind)
    return go_to(url_for("web.enrolment.show_enrolment"))


def _values() -> dict[str, Any]:
    waiting = engines.list_engines(
        portal(),
        EngineFilter(state=engines.WAITING),
        limit=queries.PAGE_LINES,
        cursor=queries.word("waiting"),
    )
    tokens = enrol_tokens.newest_enrol_tokens(
        portal(), now=now(), limit=queries.PAGE_LINES, after=queries.place("after", parts=2)
    )
    return {
        "waiting": waiting.engines,
        "waiting_pages": queries.pages_of(waiting.next_cursor, name="waiting"),
        "tokens": tokens.tokens,
        "token_pages": queries.pages_of(queries.written(tokens.after)),
        "typed": {**_FIRST, "replaces": queries.word("replaces") or ""},
        "needs_approval": False,
        "max_uses": enrol_tokens.MAX_USES,
        "max_days": enrol_tokens.MAX_EXPIRES_S // _DAY_S,
        "approval_s": portal().settings.approval_s,
    }
