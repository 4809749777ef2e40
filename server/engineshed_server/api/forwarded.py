"""Whose request it is behind web servers in front of the portal: ``X-Forwarded-For``, read from the right.

Everybody can send that header, so it counts only when the connection comes from one of ``web.proxies``. Each
of them adds the peer it saw at the right end. Read from there, the first address that is none of ours is the
client; what stands further left was written by the client itself and is never believed. A word that is no
address ends the reading: the client is then the last server that was sure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engineshed_server.settings.networks import Address, Network, parse_address

HEADER = "X-Forwarded-For"
MAX_HOPS = 16
MAX_CHARS = 1024
# Some write the peer's port behind its address.
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::\d{1,5})?", re.ASCII)


def client_of(peer: str, forwarded: str | None, *, proxies: Sequence[Network]) -> str:
    """The address of the client whose request came from *peer* with *forwarded* in its header."""
    nearest = parse_address(peer)
    if nearest is None:
        return peer
    if forwarded is not None and _is_ours(nearest, proxies):
        for word in reversed(forwarded[-MAX_CHARS:].split(",")[-MAX_HOPS:]):
            found = _address(word.strip())
            if found is None:
                break
            nearest = found
            if not _is_ours(found, proxies):
                break
    return str(nearest)


def came_through_proxy(peer: str, forwarded: str | None, *, proxies: Sequence[Network]) -> bool:
    """Whether one of our web servers in front passed the request on."""
    nearest = parse_address(peer)
    return forwarded is not None and nearest is not None and _is_ours(nearest, proxies)


def _is_ours(address: Address, proxies: Sequence[Network]) -> bool:
    return any(address in network for network in proxies)


def _address(word: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(word)
    return parse_address(word if with_port is None else with_port[1] or with_port[2])
