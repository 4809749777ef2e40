"""Addresses and networks as an administrator writes them in one line: ``127.0.0.1, ::1, 10.20.0.0/16``."""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_NETWORKS = 64


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks of *text*, separated by commas or blanks; an address alone is a network of one.

    Raises:
        ValueError: one of them is none; the message says what was expected.
    """
    words = [word for word in re.split(r"[\s,]+", text) if word]
    if len(words) > MAX_NETWORKS:
        raise ValueError(f"at most {MAX_NETWORKS} networks")
    return tuple(_network(word) for word in words)


def _network(word: str) -> Network:
    try:
        return ipaddress.ip_network(word)  # strict: 10.0.0.5/8 is rather a slip than a network
    except ValueError as err:
        raise ValueError(
            f"addresses and networks such as 127.0.0.1 or 10.20.0.0/16 with no bits behind the prefix, "
            f"not {word[:60]!r}"
        ) from err


def parse_address(text: str) -> Address | None:
    """The address of *text*, None when it is none; one of IPv4 written as IPv6 is one of IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:  # free text of whoever wrote it, and of no meaning on another host
        return None
    return address.ipv4_mapped or address
