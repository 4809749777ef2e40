from __future__ import annotations

import pytest

from engineshed_server.errors import Refused
from engineshed_server.services.networks import MAX_NETWORKS, counted_as, is_within, parse_networks


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_a_range_has_one_form(text: str, canonical: str) -> None:
    assert parse_networks([text, text]) == (canonical,)


@pytest.mark.parametrize(
    "text", ["", "10.1.2.3/8", "10.0.0.0/33", "example.org", "10.0.0.0/8,::1", "fe80::1%x"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_networks([text])
    assert caught.value.code == "network-unreadable"


def test_too_many_ranges_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        parse_networks(f"10.{number}.0.0/16" for number in range(MAX_NETWORKS + 1))
    assert caught.value.code == "networks-too-many"


@pytest.mark.parametrize(
    ("address", "network", "inside"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::FFFF:0a01:0203", "10.0.0.0/8", True),
        ("10.1.2.3", "::/0", False),  # an IPv4 address is no IPv6 address, however it arrived
        ("::ffff:10.1.2.3", "::/0", False),
        ("2001:db8::7", "2001:db8::/32", True),
        ("2001:db9::7", "2001:db8::/32", False),
        ("fe80::1%eth0", "fe80::/10", False),  # of no meaning on another host
        ("2001:db8::7", "0.0.0.0/0", False),
        ("", "0.0.0.0/0", False),
        ("unix:", "::/0", False),
        ("10.1.2.3.4", "0.0.0.0/0", False),
    ],
)
def test_an_address_is_found_in_its_range(address: str, network: str, inside: bool) -> None:
    assert is_within(address, ["203.0.113.0/24", network]) is inside


def test_no_range_holds_nobody() -> None:
    assert not is_within("10.1.2.3", [])


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::3", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::3", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_who_may_choose_among_addresses_is_counted_once(address: str, counted: str) -> None:
    assert counted_as(address) == counted
