"""Home: whether every engine is green, what was tried and done last, and what needs somebody."""

from __future__ import annotations

from flask import Response

from engineshed_server.api.context import now, portal
from engineshed_server.domain.roles import Role
from engineshed_server.services import dashboard
from engineshed_server.web.pages import Pages
from engineshed_server.web.rendering import render

pages = Pages("home")


@pages.get("/", needs=Role.VIEWER)
def show_home() -> Response:
    """The dashboard."""
    return render("home.html", seen=dashboard.look(portal(), now=now()))


@pages.get("/home/now", needs=Role.VIEWER)
def show_now() -> Response:
    """The part of it that looks anew: all."""
    return render("home/_now.html", seen=dashboard.look(portal(), now=now()))
