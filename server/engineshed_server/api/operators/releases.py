"""Releases as operators see them."""

from __future__ import annotations

from engineshed_server.api.answers import Page
from engineshed_server.api.context import portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.paging import Cursor, PageQuery, PageQuerySchema
from engineshed_server.api.schemas.releases import ReleaseSchema
from engineshed_server.errors import NotFound
from engineshed_server.services import releases
from engineshed_server.services.api_tokens import RELEASE_READERS
from engineshed_server.services.releases import Release

routes = Routes("releases", "Releases the vendor signed and this portal has.")


class ReleaseQuerySchema(PageQuerySchema):
    """A place in this list is a product and a version."""

    cursor = Cursor(parts=2)


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
def show_release(product: str, version: str) -> Release:
    """Show one release; the version may be spelt differently, as 3.4 for 3.4.0."""
    return releases.show_release(portal(), product, version=version)
