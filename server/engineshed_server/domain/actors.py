"""Who changes something, and from where: what every audit row says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change.

    Attributes:
        name: ``cli``, ``user:<name>``, ``token:<id>``, an engine's id, or the part of the portal that acts
            by itself.
        address: the network address the request came from, None without a network.
        request: the request's id, as in the log and in ``X-Request-ID``; None outside of a request.
    """

    name: str
    address: str | None = None
    request: str | None = None
