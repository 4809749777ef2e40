"""About: what this portal stands on, how long its metadata is good, and under which licences."""

from __future__ import annotations

from flask import Response

from engineshed_server.api.context import now, portal
from engineshed_server.domain.roles import Role
from engineshed_server.services.about import show_about
from engineshed_server.services.libraries import installed_libraries
from engineshed_server.web.assets import list_vendored
from engineshed_server.web.pages import Pages
from engineshed_server.web.rendering import render

pages = Pages("about")

SOON_DAYS = 14  # as deploy/prometheus warns


@pages.get("/about", needs=Role.VIEWER)
def show_portal() -> Response:
    """Versions, roles, licences."""
    return render(
        "about.html",
        about=show_about(portal(), now=now()),
        address=portal().settings.public_url,
        soon_days=SOON_DAYS,
        vendored=list_vendored(),
        libraries=installed_libraries(),
    )
