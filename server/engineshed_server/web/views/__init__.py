"""The pages, a module for each topic; a new one is added to ``TOPICS``."""

from __future__ import annotations

from collections.abc import Sequence

from engineshed_server.web.pages import Pages
from engineshed_server.web.views import (
    about,
    account,
    api_tokens,
    audit,
    engines,
    enrolment,
    groups,
    home,
    login,
    theme,
    update_packages,
    uploads,
    users,
)

TOPICS: Sequence[Pages] = (
    login.pages,
    home.pages,
    engines.pages,
    update_packages.pages,
    groups.pages,
    enrolment.pages,
    api_tokens.pages,
    audit.pages,
    users.pages,
    about.pages,
    account.pages,
    theme.pages,
    uploads.pages,
)
