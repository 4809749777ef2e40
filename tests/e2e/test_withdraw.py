"""A withdrawal end to end: signed by support, uploaded by an admin, obeyed by portal and updater."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.little_engine import wait_until
from tests.e2e.sample_parties import EngineHost, PortalProcess, SampleVendor
from tests.faulty_http import FaultyServer, answers
from tests.vendor_commands import VendorCommands

PRODUCTS = ("sample-a", "sample-b")
REASON = "Loses its connection after an hour."


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


@pytest.fixture
def host(
    tmp_path: Path, vendor: SampleVendor, portal: PortalProcess, products: Iterator[str]
) -> Iterator[EngineHost]:
    """A host on which 1.0.0 of a product of its own runs."""
    with EngineHost(tmp_path / "host", product=next(products), root_file=vendor.root_file) as host:
        assert host.enrol(portal.lasting_line).returncode == 0
        assert host.client("install", str(vendor.bundle(host.product, "1.0.0"))).returncode == 0
        yield host


def test_an_engine_that_accepted_a_release_turns_back_before_it_stops_and_takes_it_when_it_is_offered_again(
    vendor: SampleVendor, portal: PortalProcess, host: EngineHost
) -> None:
    target = vendor.release(host.product, "1.1.0")
    portal.upload(vendor.vendor.bundle("1.1.0", product=host.product))
    support, before = VendorCommands(vendor.vendor), host.process
    withdrawn = threading.Event()
    with FaultyServer() as between:
        between.forward(portal.url)
        package = f"/repo/v1/vendor/targets/{target.download_name}"
        between.at(package, answers.held(withdrawn, answers.forwarded(portal.url)))
        host.start_updater("--set", f'portals=["{between.url}"]')
        wait_until(lambda: package in between.paths())  # accepted, and on its way
        told = support.run("withdraw", host.product, "1.1.0", "--reason", REASON)
        portal.upload(support.output / told["bundle"])
        wait_until(lambda: "withdrew" in portal.run("engine", "explain", host.engine_id))
        withdrawn.set()
        wait_until(lambda: len(host.log("END")) == 2)
        assert "outcome=ABORTED code=taken-back" in host.log("END")[1]
        assert (host.version, host.process) == ("1.0.0", before)
        assert host.log("STOPPING")[1:] == []
        assert REASON in portal.run("engine", "explain", host.engine_id)
        told = support.run("withdraw", host.product, "1.1.0", "--undo")
        portal.upload(support.output / told["bundle"])
        wait_until(lambda: host.version == "1.1.0")


def test_an_engine_on_a_version_that_is_withdrawn_runs_on_and_goes_to_the_next(
    vendor: SampleVendor, portal: PortalProcess, host: EngineHost
) -> None:
    portal.upload(vendor.vendor.bundle("1.0.0", product=host.product))
    support, before = VendorCommands(vendor.vendor), host.process
    told = support.run("withdraw", host.product, "1.0.0", "--reason", REASON)
    portal.upload(support.output / told["bundle"])
    assert host.client("update").returncode == 0
    assert (host.version, host.process) == ("1.0.0", before)
    portal.upload(vendor.bundle(host.product, "1.1.0"))
    wait_until(lambda: host.client("update").returncode == 0 and host.version == "1.1.0")
