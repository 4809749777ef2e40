"""Puts the pages into the application: routes, templates, cookies, and the headers that all of them have."""

from __future__ import annotations

from flask import Blueprint, Flask
from jinja2 import StrictUndefined

from engineshed_packages import __version__
from engineshed_server.api.context import now
from engineshed_server.domain.roles import Role
from engineshed_server.services.portal import Portal
from engineshed_server.web import assets
from engineshed_server.web.banners import banners_of
from engineshed_server.web.forms import configure_forms
from engineshed_server.web.navigation import places_for
from engineshed_server.web.notes import markdown
from engineshed_server.web.people import configure_cookies, find_person
from engineshed_server.web.rendering import guard
from engineshed_server.web.showing import FILTERS
from engineshed_server.web.views import TOPICS
from engineshed_server.web.views.theme import Theme, current_theme


def add_pages(app: Flask, portal: Portal) -> None:
    """Let *app* show the pages of *portal*."""
    configure_cookies(app, portal)
    configure_forms(app)
    environment = app.jinja_env
    environment.undefined = StrictUndefined
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters.update(FILTERS, markdown=markdown)
    environment.globals.update(
        roles=Role, asset=assets.load_assets().address, product_version=__version__, themes=list(Theme)
    )
    site = Blueprint("web", __name__, template_folder="templates")
    site.after_request(guard)
    for topic in TOPICS:
        site.register_blueprint(topic.blueprint)
    app.register_blueprint(site)
    app.add_url_rule(f"{assets.PREFIX}/<digest>/<path:name>", "static", assets.send_asset)

    @app.context_processor
    def values_of_every_page() -> dict[str, object]:
        person = find_person()
        return {
            "me": person,
            "places": places_for(person),
            "banners": [] if person is None else banners_of(portal, now()),
            "portal_name": portal.settings.name,
            "theme": current_theme().value,
        }
