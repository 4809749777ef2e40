"""Light or dark: as the system says, or as somebody chose in this browser."""

from __future__ import annotations

from enum import StrEnum

from flask import Response, request

from engineshed_server.web import forms
from engineshed_server.web.pages import Pages
from engineshed_server.web.rendering import go_to

pages = Pages("theme")

COOKIE = "engineshed_theme"
_KEPT_S = 366 * 86400


class Theme(StrEnum):
    """How pages look."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


def current_theme() -> Theme:
    """What was chosen in this browser."""
    found = request.cookies.get(COOKIE, "")
    return Theme(found) if found in list(Theme) else Theme.AUTO


@pages.post("/theme", needs=None)
def choose_theme() -> Response:
    """Keep the choice in this browser, and show the same page again."""
    theme = forms.choice("theme", Theme)
    answer = go_to(forms.local_path(forms.text("next")))
    answer.set_cookie(COOKIE, theme.value, max_age=_KEPT_S, httponly=True, samesite="Lax", path="/")
    return answer
