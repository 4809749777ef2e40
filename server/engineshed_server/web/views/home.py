"""Home: what everybody sees first."""

from __future__ import annotations

from flask import Response

from engineshed_server.domain.roles import Role
from engineshed_server.web.pages import Pages
from engineshed_server.web.rendering import render

pages = Pages("home")


@pages.get("/", needs=Role.VIEWER)
def show_home() -> Response:
    """Who you are, and where you may go."""
    return render("home.html")
