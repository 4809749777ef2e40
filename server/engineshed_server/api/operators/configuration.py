"""What engines are to know of this portal: its addresses, and which order keys sign."""

from __future__ import annotations

from engineshed_server.api.answers import Shown
from engineshed_server.api.context import actor, now, portal
from engineshed_server.api.routes import Routes
from engineshed_server.api.schemas.configuration import AddressesSchema, PortalsChange, PortalsChangeSchema
from engineshed_server.domain.revisions import Expected
from engineshed_server.errors import Refused
from engineshed_server.services.api_tokens import ADMINS, READERS
from engineshed_server.services.portal_addresses import set_portals, show_addresses

routes = Routes("configuration", "What engines know of this portal, given to them by signed orders.")


@routes.get("/configuration", needs=READERS, answer=AddressesSchema)
def show_configuration() -> Shown:
    """Show addresses and order keys, and how many engines do not know them yet."""
    return _shown()


@routes.patch(
    "/configuration", needs=ADMINS, body=PortalsChangeSchema, answer=AddressesSchema, refuses=(Refused,)
)
def change_configuration(body: PortalsChange, expected: Expected) -> Shown:
    """Give every engine these addresses at its next poll; it keeps the old ones until a new one answers."""
    set_portals(portal(), body.portals, actor=actor(), now=now(), expected=expected)
    return _shown()


def _shown() -> Shown:
    shown = show_addresses(portal())
    return Shown(shown, revision=shown.number)
