"""The main job end to end: a real portal, real updaters, the sample engine, each a process of its own."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from engineshed_packages.enrolment import fingerprint
from tests.client.little_engine import wait_until
from tests.e2e.counting_proxy import CountingProxy
from tests.e2e.sample_parties import EngineHost, PortalProcess, SampleVendor

MAX_NO_NEWS_BYTES = 1000
MAX_IDLE_RSS_BYTES = 60 * 1024 * 1024
PRODUCTS = tuple(f"sample-{number}" for number in range(30))

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> SampleVendor:
    return SampleVendor(tmp_path_factory.mktemp("support"), products=PRODUCTS)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, vendor: SampleVendor) -> Iterator[PortalProcess]:
    with PortalProcess(tmp_path_factory.mktemp("portal"), vendor.root_file) as portal:
        yield portal


@pytest.fixture(scope="module")
def products() -> Iterator[str]:
    return iter(PRODUCTS)


Make = Callable[..., EngineHost]


@pytest.fixture(scope="module")
def new_host(
    tmp_path_factory: pytest.TempPathFactory, vendor: SampleVendor, products: Iterator[str]
) -> Iterator[Make]:
    """Makes a host of a product that no other test has."""
    hosts: list[EngineHost] = []

    def make(environment: Mapping[str, str] | None = None, **settings: object) -> EngineHost:
        hosts.append(
            EngineHost(
                tmp_path_factory.mktemp("host") / "base",
                product=next(products),
                root_file=vendor.root_file,
                settings=settings,
                environment=environment,
            )
        )
        return hosts[-1]

    yield make
    for host in hosts:
        host.__exit__()


def join(host: EngineHost, portal: PortalProcess, vendor: SampleVendor) -> None:
    """Enrol *host* and install 1.0.0 from a bundle."""
    done = host.enrol(portal.lasting_line)
    assert done.returncode == 0, done.stderr
    done = host.client("install", str(vendor.bundle(host.product, "1.0.0")))
    assert done.returncode == 0, done.stderr + done.stdout


def publish(host: EngineHost, portal: PortalProcess, vendor: SampleVendor) -> None:
    """Put 1.1.0 on the portal, and wait until its processes offer it."""
    portal.upload(vendor.bundle(host.product, "1.1.0"))
    wait_until(lambda: host.client("check").returncode == 100)


@pytest.fixture
def host(new_host: Make, portal: PortalProcess, vendor: SampleVendor) -> Iterator[EngineHost]:
    """A host on which 1.0.0 runs, for one test."""
    host = new_host()
    join(host, portal, vendor)
    yield host
    host.stop_updaters()


@pytest.fixture(scope="module")
def idle_host(new_host: Make, portal: PortalProcess, vendor: SampleVendor) -> EngineHost:
    """A host on which 1.0.0 runs and for which there is no news, for several tests."""
    host = new_host()
    join(host, portal, vendor)
    return host


@pytest.fixture
def idle(idle_host: EngineHost) -> Iterator[EngineHost]:
    """``idle_host`` with its updater running, in its first cycles."""
    before = idle_host.cycles
    idle_host.start_updater()
    wait_until(lambda: idle_host.cycles > before)
    yield idle_host
    idle_host.stop_updaters()


def test_a_running_updater_brings_its_engine_to_the_new_release(
    host: EngineHost, portal: PortalProcess, vendor: SampleVendor
) -> None:
    engine = host.base / "engine"
    (engine / "conf" / "engine.toml").write_text("# the customer's own\n")
    (engine / "notes.txt").write_text("unlisted\n")
    host.start_updater()
    portal.upload(vendor.bundle(host.product, "1.1.0"))
    wait_until(lambda: host.version == "1.1.0" and len(host.log("END")) == 2)
    assert (engine / "conf" / "engine.toml").read_text() == "# the customer's own\n"
    assert (engine / "notes.txt").read_text() == "unlisted\n"
    (previous,) = host.base.glob("engine_????????")
    assert (previous / "VERSION").read_text().strip() == "1.0.0"
    assert re.search(
        r" END attempt=att_\w+ outcome=OK code=ok version=1\.1\.0 probed=yes$", host.log("END")[1]
    )
    wait_until(lambda: portal.engine(host.engine_id)["version"] == "1.1.0")
    attempts = portal.engine(host.engine_id)["attempts"]
    assert [(one["to"], one["outcome"]) for one in attempts] == [("1.1.0", "OK"), ("1.0.0", "OK")]


def test_an_updater_that_is_told_to_stop_ends_with_0_and_its_engine_runs_on(idle: EngineHost) -> None:
    before = idle.process
    idle.updater.send_signal(signal.SIGTERM)
    assert idle.updater.wait(60) == 0
    assert (idle.version, idle.process) == ("1.0.0", before)


def test_a_revoked_engine_is_refused_and_runs_on(host: EngineHost, portal: PortalProcess) -> None:
    assert host.client("check").returncode == 0
    portal.run("engine", "revoke", host.engine_id)
    wait_until(lambda: host.client("check").returncode == 77)
    assert "[engine-revoked]" in host.client("update").stderr
    assert host.version == "1.0.0"


def test_a_second_updater_on_one_base_ends_with_75(idle: EngineHost) -> None:
    assert idle.start_updater().wait(60) == 75


def test_a_command_works_beside_a_running_updater(idle: EngineHost) -> None:
    assert idle.client("check").returncode == 0


def test_a_wrong_fingerprint_is_refused_before_anything_is_written(
    new_host: Make, portal: PortalProcess
) -> None:
    host = new_host()
    line = re.sub(r"order_key=\S+", f"order_key={fingerprint(b'another')}", portal.lasting_line)
    done = host.enrol(line)
    assert (done.returncode, "[order-key-fingerprint]" in done.stderr) == (77, True)
    assert [path.name for path in (host.base / "update").iterdir()] == ["updater.toml"]


def test_a_used_token_is_refused(new_host: Make, portal: PortalProcess) -> None:
    line = portal.line()
    first, second = new_host(), new_host()
    assert first.enrol(line).returncode == 0
    done = second.enrol(line)
    assert (done.returncode, "[enrol-token-used]" in done.stderr) == (77, True)
    assert not (second.base / "update" / "credentials.json").exists()


def test_a_token_that_nobody_gave_is_refused(new_host: Make, portal: PortalProcess) -> None:
    host = new_host()
    done = host.enrol(re.sub(r"token=\S+", "token=engineshed-join-" + 32 * "a", portal.lasting_line))
    assert (done.returncode, "[enrol-token-unknown]" in done.stderr) == (77, True)


BROKEN = {
    "exit-at-once": "too-many-starts",
    "exit-later": "too-many-starts",
    "hang": "unhealthy",
    "wrong-version": "unhealthy",
    "flip-flop": "unhealthy",
    "slow-start": "unhealthy",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """How the update to a broken release went."""

    exit_code: int
    version: str | None
    attempt: dict[str, Any]  # JSON, of any shape
    check_again: int


@pytest.fixture(scope="module")
def tried(new_host: Make, portal: PortalProcess, vendor: SampleVendor) -> dict[str, Tried]:
    """All broken releases at once, each on a host of its own: most of the time is waiting for ticks."""
    hosts = {}
    for behaviour in BROKEN:
        environment = {
            "SAMPLE_ENGINE_BEHAVIOUR": f"1.1.0={behaviour}",
            "SAMPLE_ENGINE_FAIL_AFTER_S": "0.5",
            "SAMPLE_ENGINE_SLOW_START_S": "60",
        }
        hosts[behaviour] = new_host(environment, max_ticks=4)
    bundles = [
        (host, vendor.bundle(host.product, "1.0.0"), vendor.bundle(host.product, "1.1.0"))
        for host in hosts.values()
    ]

    def try_it(one: tuple[EngineHost, Path, Path]) -> Tried:
        host, first, second = one
        assert host.enrol(portal.lasting_line).returncode == 0
        assert host.client("install", str(first)).returncode == 0
        portal.upload(second)
        wait_until(lambda: host.client("check").returncode == 100)
        code = host.client("update").returncode
        attempt = portal.engine(host.engine_id)["attempts"][0]
        return Tried(code, host.version, attempt, host.client("check").returncode)

    with ThreadPoolExecutor(len(bundles)) as pool:
        return dict(zip(hosts, pool.map(try_it, bundles), strict=True))


@pytest.mark.parametrize("behaviour", BROKEN)
def test_a_broken_release_is_rolled_back_and_its_cause_reported(
    tried: dict[str, Tried], behaviour: str
) -> None:
    found = tried[behaviour]
    assert (found.exit_code, found.version) == (80, "1.0.0")
    assert (found.attempt["outcome"], found.attempt["code"]) == ("ROLLED_BACK", BROKEN[behaviour])
    assert f"behaviour={behaviour}" in " ".join(found.attempt["engine_log"])


@pytest.mark.parametrize("behaviour", BROKEN)
def test_a_release_that_failed_is_not_offered_again(tried: dict[str, Tried], behaviour: str) -> None:
    assert tried[behaviour].check_again == 0


def test_an_engine_that_ignores_the_stop_signal_is_updated_all_the_same(
    new_host: Make, portal: PortalProcess, vendor: SampleVendor
) -> None:
    host = new_host({"SAMPLE_ENGINE_BEHAVIOUR": "1.0.0=ignore-sigterm"}, stop_timeout_s=1)
    join(host, portal, vendor)
    publish(host, portal, vendor)
    assert (host.client("update").returncode, host.version) == (0, "1.1.0")


def test_a_rollback_brings_the_version_before_back_and_it_stays(
    host: EngineHost, portal: PortalProcess, vendor: SampleVendor
) -> None:
    publish(host, portal, vendor)
    host.client("update")
    assert (host.client("rollback").returncode, host.version) == (0, "1.0.0")
    assert (host.client("update").returncode, host.version) == (0, "1.0.0")


@pytest.mark.parametrize("state", ["STOPPING", "PROBING"])
def test_an_updater_killed_in_an_attempt_is_recovered_by_the_next(
    new_host: Make, portal: PortalProcess, vendor: SampleVendor, state: str
) -> None:
    host = new_host({"SAMPLE_ENGINE_BEHAVIOUR": "1.0.0=ignore-sigterm"})
    join(host, portal, vendor)
    updater = host.start_updater()
    portal.upload(vendor.bundle(host.product, "1.1.0"))
    wait_until(lambda: len(host.log(state)) == 2)
    updater.kill()
    updater.wait(60)
    host.start_updater()
    wait_until(lambda: len(host.log("END")) == 2 and host.version is not None)
    outcome = {"STOPPING": ("ABORTED", "1.0.0"), "PROBING": ("OK", "1.1.0")}[state]
    assert f"outcome={outcome[0]}" in host.log("END")[1]
    assert host.version == outcome[1]
    wait_until(lambda: len(portal.engine(host.engine_id)["attempts"]) == 2)


def test_a_poll_without_news_is_one_request_under_a_kilobyte_each_way(
    idle_host: EngineHost, portal: PortalProcess
) -> None:
    with CountingProxy(portal.port) as proxy:
        idle_host.start_updater("--set", f'portals=["{proxy.url}"]')
        wait_until(lambda: [one.path for one in proxy.exchanges()].count("/api/v1/poll") >= 4)
        exchanges = proxy.exchanges()
        idle_host.stop_updaters()
    first = [one.path for one in exchanges].index("/api/v1/poll")
    later = exchanges[first + 1 :]
    assert {one.path for one in later} == {"/api/v1/poll"}
    assert max(one.request_bytes for one in later) < MAX_NO_NEWS_BYTES
    assert max(one.answer_bytes for one in later) < MAX_NO_NEWS_BYTES


def test_an_idle_updater_needs_little_memory(idle: EngineHost) -> None:
    before = idle.cycles
    wait_until(lambda: idle.cycles >= before + 2)
    assert psutil.Process(idle.updater.pid).memory_info().rss < MAX_IDLE_RSS_BYTES
