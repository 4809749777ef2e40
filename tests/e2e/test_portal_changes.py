"""A portal gets other order keys or another name, and a real engine follows without being visited."""

from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_packages import exits
from engineshed_packages.enrolment import EnrolAnswer
from tests.client.little_engine import wait_until
from tests.e2e.counting_proxy import CountingProxy
from tests.e2e.sample_parties import EngineHost
from tests.e2e.site import Site

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def follower(site: Site) -> EngineHost:
    """A host on which 1.0.0 and its updater run."""
    host = site.running_host()
    host.start_updater()
    return host


def known(host: EngineHost) -> EnrolAnswer:
    """What the engine knows of its portal."""
    return EnrolAnswer.from_bytes((host.base / "update" / "credentials.json").read_bytes())


def order_keys(site: Site) -> dict[str, str]:
    """Fingerprint by role, as the portal lists them."""
    lines = site.portal.run("order-key", "list").splitlines()[1:]
    return {line.split()[1]: line.split()[0] for line in lines}


def wait_until_all_know(site: Site) -> None:
    wait_until(lambda: site.portal.look("/configuration")["behind"] == 0)


def restart(site: Site, host: EngineHost) -> None:
    """Let the portal order a restart, and wait until the engine has obeyed."""
    before = host.pid
    given = site.portal.ask("POST", f"/engines/{host.engine_id}/orders", {"do": "restart"})
    wait_until(lambda: site.portal.look(f"/orders/{given['order']}")["state"] == "answered")
    assert (host.version, host.pid == before) == ("1.0.0", False)


def test_an_engine_learns_a_rotated_key_and_obeys_it_when_the_former_one_is_gone(
    site: Site, follower: EngineHost
) -> None:
    before, process = known(follower), follower.process
    site.portal.run("order-key", "rotate")
    wait_until_all_know(site)
    after, keys = known(follower), order_keys(site)
    assert [key.fingerprint for key in after.order_keys] == [keys["active"], keys["standby"]]
    assert before.order_keys[0].fingerprint == keys["former"]
    assert follower.process == process
    site.portal.run("order-key", "retire", keys["former"])
    restart(site, follower)
    (rotated,) = site.audited("order-key-rotated", after.portal)
    assert (rotated["before"]["order_key"], rotated["after"]["order_key"]) == (
        before.order_keys[0].keyid,
        after.order_keys[0].keyid,
    )


def test_a_portal_that_lost_its_key_is_recovered_with_the_standby_key_and_its_engine_follows(
    site: Site, follower: EngineHost, tmp_path: Path
) -> None:
    standby = known(follower).order_keys[1]
    offline = (site.portal.data / "standby-order-key.pem").rename(tmp_path / "offline.pem")
    site.portal.stop()
    for secret in (site.portal.data / "secrets").glob("order*.pem"):
        secret.unlink()
    lost = site.portal.try_to("run")
    assert (lost.returncode, "order-key recover --standby FILE" in lost.stderr) == (exits.CONFIGURATION, True)
    site.portal.run(
        "order-key", "recover", "--standby", str(offline), "--new-standby", str(tmp_path / "next")
    )
    site.portal.start()
    wait_until_all_know(site)
    assert known(follower).order_keys[0] == standby
    restart(site, follower)
    assert site.audited("order-key-recovered", known(follower).portal)


def test_an_engine_follows_to_another_address_and_the_one_before_may_go_away(
    site: Site, follower: EngineHost
) -> None:
    with CountingProxy(site.portal.port) as first_name:
        site.portal.run("portals", "set", first_name.url)
        wait_until(lambda: "/api/v1/poll" in [one.path for one in first_name.exchanges()])
        wait_until_all_know(site)
        # The address before is given up once the new one has answered, a moment after it was asked.
        wait_until(lambda: not known(follower).former_portals)
        assert known(follower).portals == (first_name.url,)
        site.portal.ask("PATCH", "/configuration", {"portals": [site.portal.url, first_name.url]})
        wait_until_all_know(site)
    site.portal.run("portals", "set", site.portal.url)
    wait_until_all_know(site)
    assert known(follower).portals == (site.portal.url,)
    restart(site, follower)
    assert f"portal:    {site.portal.url}, as " in follower.client("status").stdout
    rows = site.audited("portals-set", known(follower).portal)
    assert [row["after"]["portals"] for row in rows] == [
        site.portal.url,
        f"{site.portal.url} {first_name.url}",
        first_name.url,
    ]
