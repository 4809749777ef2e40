"""The menu: one line for each place, in the order of the manual; a person sees those he may go to."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app, request

from engineshed_server.api.access import find_access
from engineshed_server.services.logins import SignedIn


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the menu.

    Attributes:
        endpoint: of its page, ``web.<topic>.<view>``; that page's ``needs`` says who sees the place.
        icon: its name in ``parts/icons.html``.
    """

    title: str
    endpoint: str
    icon: str

    @property
    def is_here(self) -> bool:
        """Whether the page that is shown belongs to this place."""
        return (request.endpoint or "").rpartition(".")[0] == self.endpoint.rpartition(".")[0]


# A new page adds its line here, where it belongs: Home, Engines, Update packages, Groups and channels,
# Enrolment, API tokens, Audit, Users, About.
PLACES = (
    Place("Home", "web.home.show_home", "home"),
    Place("Engines", "web.engines.list_engines", "engines"),
    Place("Update packages", "web.update_packages.show_packages", "packages"),
    Place("Groups and channels", "web.groups.list_groups", "groups"),
    Place("Enrolment", "web.enrolment.show_enrolment", "enrolment"),
    Place("API tokens", "web.api_tokens.list_tokens", "tokens"),
    Place("Audit", "web.audit.list_changes", "audit"),
    Place("Users", "web.users.list_users", "users"),
    Place("About", "web.about.show_portal", "about"),
)


def places_for(person: SignedIn | None) -> list[Place]:
    """The places that *person* may go to; none for a visitor."""
    if person is None:
        return []
    return [place for place in PLACES if _may_see(person, place)]


def _may_see(person: SignedIn, place: Place) -> bool:
    access = find_access(current_app.view_functions[place.endpoint])
    assert access is not None
    assert access.role is not None, f"{place.endpoint} stands in the menu and is for everybody"
    return person.role.covers(access.role)
