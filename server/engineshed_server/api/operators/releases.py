"""Releases as operators see them."""

from __future__ import annotations

from engineshed_server.api.answers import Page, Shown
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.paging import Cursor, PageQuery, PageQuerySchema, Place
from engineshed_server.api.schemas.releases import HoldChangeSchema, ReleaseSchema
from engineshed_server.domain.revisions import Expected
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services import releases
from engineshed_server.services.api_tokens import ADMINS, RELEASE_READERS
from engineshed_server.services.holds import HoldChange, change_hold

routes = Routes("releases", "Releases the vendor signed and this portal has.")


class ReleaseQuerySchema(PageQuerySchema):
    """A place in this list is a product and a version."""

    cursor = Cursor(Place.TEXT, Place.VERSION)


@routes.page(
    "/releases", needs=RELEASE_READERS, name="releases", item=ReleaseSchema, query=ReleaseQuerySchema
)
def list_releases(query: PageQuery) -> Page:
    """List the published releases: by product, the newest version first."""
    page = releases.page_releases(portal(), limit=query.limit, after=query.cursor)
    return Page(page.releases, page.after)


@routes.get(
    "/releases/<name:product>/<name:version>",
    needs=RELEASE_READERS,
    answer=ReleaseSchema,
    refuses=(NotFound,),
)
def show_release(product: str, version: str) -> Shown:
    """Show one release; the version may be spelt differently, as 3.4 for 3.4.0."""
    return _shown(product, version)


@routes.patch(
    "/releases/<name:product>/<name:version>",
    needs=ADMINS,
    body=HoldChangeSchema,
    answer=ReleaseSchema,
    refuses=(NotFound, Refused),
)
def change_release(product: str, version: str, body: HoldChange, expected: Expected) -> Shown:
    """Hold a release back, or let it go; in force in every process within one second."""
    change_hold(portal(), product, version=version, change=body, actor=actor(), now=now(), expected=expected)
    return _shown(product, version)


def _shown(product: str, version: str) -> Shown:
    release = releases.show_release(portal(), product, version=version)
    return Shown(release, revision=release.revision)
