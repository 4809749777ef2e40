"""``configure``: other order keys, other addresses of the portal, by an order signed with a key known so far.

The identity file is replaced as a whole: whoever reads it finds the one from before or the one after. The
addresses from before stay at hand until one of the new ones has answered a poll: a mistyped address, or a
name that is not known yet, loses no engine.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from engineshed_client.enrol import read_credentials
from engineshed_client.errors import Refused, client_boundary
from engineshed_client.steps.context import Context
from engineshed_packages.enrolment import EnrolAnswer
from engineshed_packages.orders import Order

logger = logging.getLogger(__name__)


def configured(credentials: EnrolAnswer, order: Order) -> EnrolAnswer:
    """*credentials* as *order* wants them; the same when they are so already. A pure rule."""
    after = replace(credentials, order_keys=order.next_keys or credentials.order_keys)
    if not order.next_portals or order.next_portals == credentials.portals:
        return after
    # While the last new list has not answered, the one before it is what works.
    working = credentials.former_portals or credentials.portals
    former = () if working == order.next_portals else working
    return replace(after, portals=order.next_portals, former_portals=former)


def configure(context: Context, order: Order) -> str:
    """Replace the identity file as *order* says; returns a remark for the report.

    Raises:
        Refused: codes ``not-enrolled``, ``configuration-unreadable``: nothing was changed.
        SettingsRefused: the file cannot be read. DiskTrouble: it is as it was.
    """
    credentials = read_credentials(context.paths)
    if credentials is None:
        raise Refused("not-enrolled", f"{context.paths.base} has no identity that could be changed")
    _replace(context, credentials, configured(credentials, order))
    if order.next_portals and context.settings.portals:
        return "updater.toml names portals of its own: those are asked, and not the ones of the order"
    return ""


def confirm_portals(context: Context, answered_by: str | None) -> bool:
    """Forget the former addresses once a new one has answered; true when that changed the file.

    Raises:
        SettingsRefused, DiskTrouble: as ``configure``.
    """
    credentials = read_credentials(context.paths)
    if credentials is None or not credentials.former_portals or answered_by not in credentials.portals:
        return False
    _replace(context, credentials, replace(credentials, former_portals=()))
    logger.info("new address of the portal confirmed", extra={"portal": answered_by})
    return True


def _replace(context: Context, before: EnrolAnswer, after: EnrolAnswer) -> None:
    if after == before:
        return
    data = after.to_bytes()
    with client_boundary():
        if EnrolAnswer.from_bytes(data) != after:
            raise Refused("configuration-unreadable", "the new identity could not be read back")
        context.fs.write_file(context.paths.credentials, data, mode=0o600)
