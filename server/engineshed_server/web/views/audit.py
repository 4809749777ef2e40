"""Audit: who changed what, when, from where, and what was before and after."""

from __future__ import annotations

from flask import Response

from engineshed_server.api.context import portal
from engineshed_server.domain.filters import AuditFilter
from engineshed_server.domain.roles import Role
from engineshed_server.services import audit
from engineshed_server.web import queries
from engineshed_server.web.pages import Pages
from engineshed_server.web.rendering import render

pages = Pages("audit")


@pages.get("/audit", needs=Role.VIEWER)
def list_changes() -> Response:
    """The changes that are wanted, the newest first."""
    wanted = AuditFilter(
        subject=queries.word("subject"),
        actor=queries.word("actor"),
        action=queries.word("action"),
        since=queries.moment("since"),
        until=queries.moment("until"),
    )
    page = audit.list_audit(portal(), wanted, limit=queries.PAGE_LINES, after=queries.word("after"))
    return render("audit.html", entries=page.entries, wanted=wanted, pages=queries.pages_of(page.after))
