"""What an administrator orders, holds and stops: a real portal, a real updater, its real engine."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from engineshed_packages.times import format_time
from tests.client.little_engine import wait_until
from tests.e2e.sample_parties import EngineHost
from tests.e2e.site import Site

SHAKY = "shaky on old disks"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def obedient(site: Site) -> EngineHost:
    """A host on which 1.0.0 and its updater run; 1.1.0 is published, and on hold. Each test leaves it so."""
    host = site.running_host()
    site.portal.upload(site.vendor.bundle(host.product, "1.1.0"))
    site.portal.run("release", "hold", host.product, "1.1.0", "--reason", SHAKY)
    host.start_updater()
    return host


def command(site: Site, host: EngineHost, *words: str) -> dict[str, Any]:
    """Give an order by the command: what it printed of it."""
    (given,) = site.portal.read("engine", "order", host.engine_id, *words, "--json")["orders"]
    return dict(given)


def ask(site: Site, host: EngineHost, do: str, **values: object) -> dict[str, Any]:
    """Give an order by the API: what it answered."""
    return site.portal.ask("POST", f"/engines/{host.engine_id}/orders", {"do": do, **values})


def answer_to(site: Site, host: EngineHost, given: dict[str, Any]) -> str:
    """Wait until the order is closed: its state and the code that closed it."""
    found: list[str] = []

    def is_closed() -> bool:
        (order,) = (
            one for one in site.portal.engine(host.engine_id)["orders"] if one["order"] == given["order"]
        )
        found[:] = [f"{order['state']}: {order['answer']}"]
        return bool(order["state"] != "open")

    wait_until(is_closed)
    return found[0]


def audited_order(site: Site, given: dict[str, Any]) -> list[tuple[str, str]]:
    """Who gave the order to do what, by the audit."""
    rows = site.audited("order-given", given["order"])
    return [(row["actor"].partition(":")[0], row["details"]["do"]) for row in rows]


def test_an_ordered_restart_gives_the_engine_another_process(site: Site, obedient: EngineHost) -> None:
    before = obedient.pid
    given = ask(site, obedient, "restart", message="after the patch")
    assert answer_to(site, obedient, given) == "answered: ok"
    assert (obedient.version, obedient.pid == before) == ("1.0.0", False)
    assert site.portal.engine(obedient.engine_id)["attempts"][0]["kind"] == "restart"
    assert 'why="after the patch"' in obedient.log("ORDER")[-1]
    assert audited_order(site, given) == [("token", "restart")]


def test_an_engine_stopped_by_order_stays_so_until_it_is_ordered_to_start(
    site: Site, obedient: EngineHost
) -> None:
    before = obedient.pid
    stop = command(site, obedient, "stop")
    assert answer_to(site, obedient, stop) == "answered: ok"
    assert before is not None
    assert (obedient.version, psutil.pid_exists(before)) == (None, False)
    cycles = obedient.cycles
    obedient.stop_updaters()
    obedient.start_updater()
    wait_until(lambda: obedient.cycles >= cycles + 3)
    assert (obedient.version, site.portal.engine(obedient.engine_id)["health"]) == (None, "stopped")
    start = ask(site, obedient, "start")
    assert answer_to(site, obedient, start) == "answered: ok"
    assert (obedient.version, obedient.pid == before) == ("1.0.0", False)
    assert audited_order(site, stop) == [("cli", "stop")]
    assert audited_order(site, start) == [("token", "start")]


def test_an_ordered_install_waits_for_its_window_and_can_be_cancelled(
    site: Site, obedient: EngineHost
) -> None:
    before, staged = obedient.process, len(obedient.log("STAGED"))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    window = (format_time(tomorrow), format_time(tomorrow + timedelta(hours=2)))
    install = command(site, obedient, "install", "1.1.0", "--although-held", "--window", *window)
    wait_until(lambda: len(obedient.log("STAGED")) > staged)
    cancel = ask(site, obedient, "cancel")
    assert answer_to(site, obedient, cancel) == "answered: ok"
    assert answer_to(site, obedient, install) == "superseded: superseded"
    assert "outcome=ABORTED code=cancelled" in obedient.log("END")[-1]
    assert (obedient.version, obedient.process) == ("1.0.0", before)
    assert audited_order(site, install) == [("cli", "install")]
    assert audited_order(site, cancel) == [("token", "cancel")]


def test_an_ordered_version_is_installed_and_an_ordered_rollback_brings_back_the_one_before(
    site: Site, obedient: EngineHost
) -> None:
    before = obedient.pid
    install = ask(site, obedient, "install", version="1.1.0", although_held=True)
    assert answer_to(site, obedient, install) == "answered: ok"
    installed = obedient.pid
    assert (obedient.version, installed == before) == ("1.1.0", False)
    rollback = command(site, obedient, "rollback", "--message", "the customer wants it back")
    assert answer_to(site, obedient, rollback) == "answered: ok"
    assert (obedient.version, obedient.pid == installed) == ("1.0.0", False)
    assert audited_order(site, install) == [("token", "install")]
    assert audited_order(site, rollback) == [("cli", "rollback")]


def test_a_release_that_was_rolled_back_is_tried_again_when_a_retry_is_ordered(site: Site) -> None:
    host = site.running_host({"SAMPLE_ENGINE_BEHAVIOUR": "1.1.0=exit-at-once"}, max_ticks=4)
    host.start_updater()
    site.portal.upload(site.vendor.bundle(host.product, "1.1.0"))
    wait_until(lambda: "outcome=ROLLED_BACK" in "".join(host.log("END")) and host.version == "1.0.0")
    explained = f"/engines/{host.engine_id}/explain"
    wait_until(lambda: "skipped" in str(site.portal.look(explained)["reasons"]))
    host.stop_updaters()
    settings = host.base / "update" / "updater.toml"
    settings.write_text(settings.read_text().replace("1.1.0=exit-at-once", "1.1.0=good"))
    host.start_updater()
    given = command(site, host, "retry", "--message", "the disk was full")
    assert answer_to(site, host, given) == "answered: ok"
    assert host.version == "1.1.0"
    assert audited_order(site, given) == [("cli", "retry")]


def test_a_stop_and_then_a_hold_keep_a_new_release_back_and_the_engine_is_told_why(site: Site) -> None:
    host = site.running_host()
    before = host.process
    host.start_updater()
    scope = {"product": host.product, "reason": "engines lose their data"}
    site.portal.ask("POST", "/emergency-stops/on", scope)
    site.portal.upload(site.vendor.bundle(host.product, "1.1.0"))
    wait_until(lambda: host.heard.startswith("emergency-stop: "))
    status = host.client("status").stdout
    assert re.search("it says: +emergency-stop since .*engines lose their data", status), status
    site.portal.run("release", "hold", host.product, "1.1.0", "--reason", SHAKY)
    site.portal.run("emergency-stop", "off", "--product", host.product, "--reason", "it was the network")
    wait_until(lambda: SHAKY in host.heard)
    assert host.process == before
    site.portal.ask("PATCH", f"/releases/{host.product}/1.1.0", {"held": False, "reason": "mended"})
    wait_until(lambda: host.version == "1.1.0" and len(host.log("END")) == 2)
    stops = [site.audited(f"emergency-stop-{word}", host.product) for word in ("on", "off")]
    assert [[row["details"]["reason"] for row in rows] for rows in stops] == [
        ["engines lose their data"],
        ["it was the network"],
    ]
    held = site.audited("release-held", f"{host.product} 1.1.0")
    let_go = site.audited("release-let-go", f"{host.product} 1.1.0")
    assert [(row["actor"].partition(":")[0], row["details"]["reason"]) for row in held + let_go] == [
        ("cli", SHAKY),
        ("token", "mended"),
    ]
