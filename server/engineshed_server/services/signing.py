"""Which key signs an engine's orders: one that the engine knows, and whose private part is here.

Nearly always that is the active key. After keys were changed an engine that was away knows only older ones: a
former key that is still here signs for it, so that it can be told of the newer one.
"""

from __future__ import annotations

from dataclasses import dataclass

from securesystemslib.signer import Signer

from engineshed_server.db import configurations
from engineshed_server.domain.configurations import Configuration
from engineshed_server.errors import KeyMissing
from engineshed_server.services.portal import Portal


@dataclass(frozen=True, slots=True)
class Signing:
    """A key to sign with: its name, and its private part."""

    keyid: str
    signer: Signer


def find_signing(portal: Portal, known: Configuration) -> Signing | None:
    """The key for an engine that is at the configuration *known*; None when none of its keys is here."""
    current = portal.configuration.active
    for key in (current, *known.keys):
        signer = portal.keys.find_signer(key) if key.keyid in known.keyids else None
        if signer is not None:
            return Signing(key.keyid, signer)
    return None


def get_signing(portal: Portal, known: Configuration, *, engine_id: str) -> Signing:
    """As ``find_signing``.

    Raises:
        KeyMissing: code ``order-key-missing``.
    """
    found = find_signing(portal, known)
    if found is None:
        raise KeyMissing(
            "order-key-missing",
            f"no order key that engine {engine_id} knows is on this portal: bring the standby key, "
            "`engineshed-server order-key recover --standby FILE`",
        )
    return found


def known_keyids(portal: Portal, engine_id: str) -> frozenset[str]:
    """The names of the order keys that the engine knows; no SQL for one that knows the current ones."""
    snapshot = portal.snapshot.current()
    if engine_id not in snapshot.behind:
        return portal.configuration.keyids
    with portal.database.read() as session:
        found = configurations.find_of_engine(session, engine_id)
    return frozenset() if found is None else found.keyids
