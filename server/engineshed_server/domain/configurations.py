"""What engines know of their portal: its order keys, and its addresses; numbered, a change makes the next.

Each engine is at the configuration it was enrolled with, or the last one it reported to have taken over. One
that is behind the current one is given a ``configure`` order, signed with a key that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from engineshed_packages.enrolment import OrderKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One configuration.

    Attributes:
        active: the key that signs orders. standby: the one kept offline, which engines trust like the other.
        portals: addresses, tried in order; None as long as nobody has set them: then it is ``public_url``.
    """

    number: int
    active: OrderKey
    standby: OrderKey
    portals: tuple[str, ...] | None = None

    @property
    def keys(self) -> tuple[OrderKey, OrderKey]:
        """Both keys as engines keep them."""
        return (self.active, self.standby)

    @property
    def keyids(self) -> frozenset[str]:
        """The names of both keys."""
        return frozenset(key.keyid for key in self.keys)

    def addresses(self, public_url: str) -> tuple[str, ...]:
        """The addresses engines are given."""
        return (public_url,) if self.portals is None else self.portals
