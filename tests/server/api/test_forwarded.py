"""Whose request it is: the rightmost address no server of ours wrote, and never what a client claims."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_server.api.forwarded import came_through_proxy, client_of
from engineshed_server.db import audit
from engineshed_server.services.portal import Portal
from engineshed_server.settings.networks import parse_networks
from tests.server.api.conftest import PortalUnderTest, portal_under_test
from tests.vendor import Vendor

PROXIES = parse_networks("127.0.0.1, ::1, 10.20.0.0/16, 2001:db8:aa::/48")
JOIN = {
    "protocol": 1,
    "token": "none",
    "product": "p",
    "platform": "any",
    "host_name": "h",
    "updater_version": "1",
}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", None, "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # a stranger's word
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "192.0.2.1, 203.0.113.9", "203.0.113.9"),  # the client claimed to be 192.0.2.1
        ("127.0.0.1", "192.0.2.1,203.0.113.9 ,10.20.3.4", "203.0.113.9"),  # two servers of ours
        ("127.0.0.1", "10.20.9.9, 203.0.113.9", "203.0.113.9"),  # the client claimed to be a server of ours
        ("127.0.0.1", "10.20.3.4, 10.20.3.5", "10.20.3.4"),  # a server of ours asks by itself
        ("127.0.0.1", "203.0.113.9, unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9, unknown, 10.20.3.4", "10.20.3.4"),
        ("127.0.0.1", "203.0.113.9,", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9:5678", "203.0.113.9"),
        ("127.0.0.1", "[2001:db8::5]:5678", "2001:db8::5"),
        ("127.0.0.1", "2001:DB8:0::5", "2001:db8::5"),
        ("127.0.0.1", "fe80::1%eth0", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9\x00", "127.0.0.1"),
        ("127.0.0.1", "0203.0.113.9", "127.0.0.1"),
        ("::1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8:aa::7", "203.0.113.9", "203.0.113.9"),
        ("2001:db8:ab::7", "203.0.113.9", "2001:db8:ab::7"),
        ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, ::ffff:10.20.3.4", "203.0.113.9"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_not_ours(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert client_of(peer, forwarded, proxies=PROXIES) == client


def test_a_header_without_end_is_read_from_its_right_end_only() -> None:
    forwarded = "192.0.2.1, " * 100_000 + "203.0.113.9" + ", 10.20.0.1" * 15
    assert client_of("127.0.0.1", forwarded, proxies=PROXIES) == "203.0.113.9"
    assert client_of("127.0.0.1", forwarded + ", 10.20.0.1", proxies=PROXIES) == "10.20.0.1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "came"),
    [
        ("127.0.0.1", "203.0.113.9", True),
        ("::ffff:127.0.0.1", "", True),
        ("127.0.0.1", None, False),
        ("198.51.100.7", "203.0.113.9", False),
    ],
)
def test_a_request_came_through_a_server_of_ours_when_that_one_says_for_whom(
    peer: str, forwarded: str | None, came: bool
) -> None:
    assert came_through_proxy(peer, forwarded, proxies=PROXIES) is came


@pytest.fixture
def behind(tmp_path: Path, vendor: Vendor) -> Iterator[PortalUnderTest]:
    """A portal that has a web server on its own host."""
    with portal_under_test(tmp_path, vendor, web__proxies="127.0.0.0/8") as made:
        yield made


def join(here: PortalUnderTest, *, peer: str, forwarded: str) -> int:
    answer = here.http.post(
        "/api/v1/enrol",
        data=json.dumps(JOIN),
        headers={"Content-Type": "application/json", "X-Forwarded-For": forwarded},
        environ_overrides={"REMOTE_ADDR": peer},
        buffered=True,
    )
    return answer.status_code


def audited_addresses(portal: Portal) -> list[str | None]:
    with portal.database.read() as session:
        return [one.actor.address for one in audit.list_audit(session) if one.action == "enrolment-failed"]


def test_audit_log_and_waits_go_by_the_address_a_known_server_tells(
    behind: PortalUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "engineshed_server.app")
    said = [join(behind, peer="127.0.0.1", forwarded="192.0.2.1, 203.0.113.9") for _ in range(8)]
    assert (said[0], said[-1]) == (401, 429)
    assert join(behind, peer="127.0.0.1", forwarded="203.0.113.10") == 401
    addresses = audited_addresses(behind.portal)
    assert set(addresses) == {"203.0.113.9", "203.0.113.10"}
    assert {record.__dict__["address"] for record in caplog.records} == {"203.0.113.9", "203.0.113.10"}


def test_who_invents_an_address_for_each_guess_waits_all_the_same(behind: PortalUnderTest) -> None:
    said = [join(behind, peer="198.51.100.7", forwarded=f"203.0.113.{number}") for number in range(8)]
    assert said[-1] == 429
    assert set(audited_addresses(behind.portal)) == {"198.51.100.7"}


def test_without_the_setting_no_forwarded_address_is_believed(here: PortalUnderTest) -> None:
    assert join(here, peer="127.0.0.1", forwarded="203.0.113.9") == 401
    assert audited_addresses(here.portal) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "handed_over"),
    [
        ("127.0.0.1", "203.0.113.9", True),
        ("127.0.0.1", None, False),  # a command on the portal's own host
        ("198.51.100.7", "203.0.113.9", False),
    ],
)
def test_only_a_web_server_that_is_known_is_told_to_send_a_package(
    tmp_path: Path, vendor: Vendor, peer: str, forwarded: str | None, handed_over: bool
) -> None:
    with portal_under_test(tmp_path, vendor, web__proxies="127.0.0.0/8", web__accel="/_blobs") as here:
        here.publish("1.0.0")
        (target,) = json.loads(here.get("/api/v1/releases", token=here.token()).data)["releases"][0][
            "packages"
        ]
        headers = {"Authorization": f"Bearer {here.token()}"}
        if forwarded is not None:
            headers["X-Forwarded-For"] = forwarded
        answer = here.http.get(
            f"/repo/v1/vendor/targets/{target['download_name']}",
            headers=headers,
            environ_overrides={"REMOTE_ADDR": peer},
            buffered=True,
        )
    sha256 = target["sha256"]
    assert answer.headers.get("X-Accel-Redirect") == (
        f"/_blobs/{sha256[:2]}/{sha256}" if handed_over else None
    )
    assert len(answer.data) == (0 if handed_over else target["length"])
