"""Address ranges: from where a token may be used, and whom a failed guess is counted against.

An IPv4 address that arrives as IPv6 (``::ffff:192.0.2.7``) is the IPv4 address it maps; a range written
that way is the IPv4 range.

    networks = parse_networks(["10.0.0.0/8", "2001:db8::/32"])      canonical texts, to be stored
    is_within("::ffff:10.1.2.3", networks)                          → True
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from engineshed_server.errors import Refused
from engineshed_server.settings.networks import Network, parse_address

MAX_NETWORKS = 20
_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291, section 2.5.5.2
_V6_SITE_BITS = 64  # one host has a whole such network to choose its addresses from


def parse_network(text: str) -> Network:
    """The range *text* says: CIDR, or a single address.

    Raises:
        Refused: code ``network-unreadable``.
    """
    try:
        if "%" in text:
            raise ValueError("a scope names a cable of this host")
        network = ip_network(text.strip())
    except ValueError as err:
        raise Refused(
            "network-unreadable",
            f"found the address range {text[:60]!r} ({err}), expected CIDR such as 10.20.0.0/16 or "
            "2001:db8::/32",
        ) from err
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        base = network.network_address.ipv4_mapped
        assert base is not None  # it lies in the mapped range
        return IPv4Network((base, network.prefixlen - _MAPPED.prefixlen))
    return network


def parse_networks(texts: Iterable[str]) -> tuple[str, ...]:
    """The ranges of *texts* in their one form, each once.

    Raises:
        Refused: codes ``network-unreadable`` and ``networks-too-many``.
    """
    found = tuple(dict.fromkeys(str(parse_network(text)) for text in texts))
    if len(found) > MAX_NETWORKS:
        raise Refused(
            "networks-too-many", f"found {len(found)} address ranges, at most {MAX_NETWORKS} are taken"
        )
    return found


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Whether *address* lies in one of *networks*; one that cannot be read lies in none."""
    found = parse_address(address)
    return found is not None and any(found in ip_network(text) for text in networks)


def counted_as(address: str) -> str:
    """Whom a failure from *address* is counted against: an IPv4 address, or an IPv6 /64."""
    found = parse_address(address)
    if found is None:
        return address
    return str(found if isinstance(found, IPv4Address) else ip_network((found, _V6_SITE_BITS), strict=False))
