"""The updater's own update: tried out, started, kept or taken back; stopped before every single effect."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_client.agent import Cycle, own_updating
from engineshed_client.agent.loop import Loop
from engineshed_client.own import OwnFile
from engineshed_client.own.folder import find_launched
from engineshed_packages.protocol import Outcome
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_packages.target import UPDATER_PRODUCT
from engineshed_packages.versions import Version
from tests.client.host import FastFs, Killed, KillingFs
from tests.client.own_host import INSTALLED, OwnHost, release_updater
from tests.client.scripted_portal import ScriptedPortal
from tests.faulty_http import answers
from tests.vendor import PRODUCT, Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    """A vendor of an engine and of the updater."""
    vendor = Vendor(tmp_path, products=(PRODUCT, UPDATER_PRODUCT))
    return vendor


@pytest.fixture
def host(tmp_path: Path, scripted: ScriptedPortal, vendor: Vendor) -> Iterator[OwnHost]:
    host = OwnHost(tmp_path / "base", scripted, vendor)
    yield host
    host.close()


def test_a_newer_updater_is_installed_started_and_reported_once(host: OwnHost, vendor: Vendor) -> None:
    host.order(release_updater(vendor, "1.1.0"))
    assert host.boot() == "1.1.0"
    assert host.booted == [INSTALLED, "1.1.0"]
    assert host.pointers() == ("1.1.0", None)
    (report,) = host.reports()
    assert (report.outcome, report.code) == (Outcome.OK, "ok")
    assert (report.from_version, report.to_version) == (Version.parse(INSTALLED), Version.parse("1.1.0"))
    assert report.version == Version.parse("1.1.0")
    assert [step.state for step in report.steps] == ["SWITCHING", "OK"]
    assert "SELF-UPDATE" in report.update_log[-1]
    assert not host.base.paths.own.exists()
    assert not (host.updater / "starts.txt").exists()
    assert host.portal.polls()[0].renews


def test_the_one_before_is_kept_and_what_came_before_that_goes(host: OwnHost, vendor: Vendor) -> None:
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        host.order(release_updater(vendor, version))
        assert host.boot() == version
    assert host.pointers() == ("1.3.0", "1.2.0")
    assert host.versions() == ["1.2.0", "1.3.0"]


def test_one_that_fails_its_self_test_is_never_started(host: OwnHost, vendor: Vendor) -> None:
    host.order(release_updater(vendor, "1.1.0", "import sys\nsys.exit('no module named requests')\n"))
    assert host.boot() == INSTALLED
    (report,) = host.reports()
    assert (report.outcome, report.code) == (Outcome.ABORTED, "self-test-failed")
    assert "no module named requests" in report.message
    assert host.pointers() == (None, None)
    (skipped,) = host.base.context.seen.load().skipped
    assert skipped.version == Version.parse("1.1.0")


@pytest.mark.parametrize("says", ["print('hello')", 'print(\'{"version": "1.0.9"}\')'])
def test_one_that_says_it_is_another_is_never_started(host: OwnHost, vendor: Vendor, says: str) -> None:
    host.order(release_updater(vendor, "1.1.0", says))
    assert host.boot() == INSTALLED
    assert [report.code for report in host.reports()] == ["self-test-failed"]


def test_one_that_cannot_reach_the_portal_now_is_tested_again_later(host: OwnHost, vendor: Vendor) -> None:
    host.order(release_updater(vendor, "1.1.0", "import sys\nsys.exit(69)\n"))
    assert host.boot() == INSTALLED
    assert host.reports() == []
    assert host.base.context.seen.load().skipped == ()


def test_one_that_does_not_come_up_three_times_is_taken_back(host: OwnHost, vendor: Vendor) -> None:
    host.order(release_updater(vendor, "1.1.0"))
    assert host.boot(comes_up=lambda version: version != "1.1.0") == INSTALLED
    assert host.booted == [INSTALLED, "1.1.0", "1.1.0", "1.1.0", INSTALLED]
    (report,) = host.reports()
    assert (report.outcome, report.code) == (Outcome.ROLLED_BACK, "updater-not-up")
    assert report.version == Version.parse(INSTALLED)
    assert host.pointers() == (None, None)
    assert host.versions() == []
    assert [one.version.text for one in host.base.context.seen.load().skipped] == ["1.1.0"]
    host.boot()
    assert host.booted[-1] == INSTALLED


def test_what_was_taken_back_is_started_again_when_an_order_says_retry(host: OwnHost, vendor: Vendor) -> None:
    target = release_updater(vendor, "1.1.0")
    host.order(target)
    host.boot(comes_up=lambda version: version != "1.1.0")
    host.order(target, retry=True)
    assert host.boot() == "1.1.0"
    assert host.base.context.seen.load().skipped == ()


def test_the_one_taken_back_to_stands_before_the_one_it_had_before(host: OwnHost, vendor: Vendor) -> None:
    for version in ("1.1.0", "1.2.0"):
        host.order(release_updater(vendor, version))
        host.boot()
    host.order(release_updater(vendor, "1.3.0"))
    assert host.boot(comes_up=lambda version: version != "1.3.0") == "1.2.0"
    assert host.pointers() == ("1.2.0", "1.1.0")
    assert host.versions() == ["1.1.0", "1.2.0"]


def test_one_whose_cycles_fail_by_themselves_starts_again_and_is_taken_back(
    host: OwnHost, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Cycle.run

    def fail(cycle: Cycle) -> object:
        if cycle._context.updater_version == "1.1.0":
            raise ZeroDivisionError
        return run(cycle)

    host.order(release_updater(vendor, "1.1.0"))
    monkeypatch.setattr(Cycle, "run", fail)
    assert host.boot() == INSTALLED
    assert host.booted == [INSTALLED, "1.1.0", "1.1.0", "1.1.0", INSTALLED]
    assert [report.code for report in host.reports()] == ["updater-not-up"]


def test_portal_trouble_is_no_reason_to_go_back(host: OwnHost, vendor: Vendor) -> None:
    host.order(release_updater(vendor, "1.1.0"))
    host.portal.server.at(
        "/api/v1/poll",
        answers.json(host.portal.offer(host.portal.order(release_updater(vendor, "1.2.0"))).to_bytes()),
        answers.status(503),
    )
    host.portal.publish(vendor)
    assert [host.boot(cycles=1) for _ in range(5)] == ["1.2.0"] * 5
    assert host.pointers() == ("1.2.0", None)
    assert host.reports() == []  # nobody has heard yet that it works
    host.portal.answer_polls(host.portal.no_news())
    host.boot()
    assert [report.outcome for report in host.reports()] == [Outcome.OK]


def test_the_vendors_floor_holds_for_the_updater_too(host: OwnHost, vendor: Vendor) -> None:
    vendor.release(
        "1.2.0",
        product=UPDATER_PRODUCT,
        packages=[vendor.package("1.2.0", product=UPDATER_PRODUCT)],
        terms=ReleaseTerms(floor=Version.parse("1.2.0")),
    )
    host.order(release_updater(vendor, "1.1.0"))
    assert host.boot() == INSTALLED
    assert [report.code for report in host.portal.reports()] == ["order-below-floor"]


def test_a_package_without_the_single_file_is_no_updater(host: OwnHost, vendor: Vendor) -> None:
    host.order(vendor.release("1.1.0", product=UPDATER_PRODUCT))
    assert host.boot() == INSTALLED
    assert [report.code for report in host.reports()] == ["package-mismatch"]


def test_an_updater_that_was_not_launched_takes_no_order_for_itself(host: OwnHost, vendor: Vendor) -> None:
    host.order(release_updater(vendor, "1.1.0"))
    host.base.cycle().run()
    assert not host.portal.polls()[0].renews
    assert [report.code for report in host.portal.reports()] == ["order-other-product"]


def test_a_record_that_cannot_be_read_leaves_the_version_that_was_started(
    host: OwnHost, vendor: Vendor
) -> None:
    host.order(release_updater(vendor, "1.1.0"))
    parts = host.parts(FastFs(), None)
    assert Loop(parts).once() == 0
    parts.portal.close()
    host.base.paths.own.write_bytes(b"\0" * 40)
    host.portal.answer_polls(host.portal.no_news())
    assert host.boot(comes_up=lambda version: version != "1.1.0", cycles=1) == INSTALLED
    assert host.pointers() == (None, None)
    assert host.base.paths.own.with_name("own.json.corrupt").exists()


def test_a_process_knows_by_which_file_it_runs(host: OwnHost, tmp_path: Path) -> None:
    assert find_launched(host.base.paths, {}) is None
    assert find_launched(host.base.paths, {"ENGINESHED_LAUNCHER": str(tmp_path / "gone.py")}) is None
    found = find_launched(host.base.paths, {"ENGINESHED_LAUNCHER": __file__})
    assert found is not None
    assert found.name is None


# Up to the switch both ways are the same.
@pytest.mark.parametrize(("is_well", "since"), [(True, "open"), (False, "create .own.json.tmp")])
@pytest.mark.timeout(300)
def test_stopped_before_every_effect_there_is_an_updater_to_be_launched_and_one_end(
    tmp_path: Path,
    scripted: ScriptedPortal,
    vendor: Vendor,
    monkeypatch: pytest.MonkeyPatch,
    is_well: bool,
    since: str,
) -> None:
    def comes_up(version: str) -> bool:
        return is_well or version != "1.2.0"

    def begin(kill_at: int | None) -> KillingFs:
        shutil.rmtree(host.base.paths.base)
        shutil.copytree(tmp_path / "copy", host.base.paths.base)
        scripted.server.requests.clear()
        host.order(target)
        fs = KillingFs(kill_at)
        try:
            host.boot(fs, comes_up=comes_up, cycles=1)
        except Killed:
            pass
        return fs

    # A process of its own that changes nothing: proven above.
    monkeypatch.setattr(own_updating, "prove_program", lambda context, program, version: None)
    host = OwnHost(tmp_path / "base", scripted, vendor)
    host.order(release_updater(vendor, "1.1.0"))
    assert host.boot(FastFs()) == "1.1.0"
    target = release_updater(vendor, "1.2.0")
    shutil.copytree(host.base.paths.base, tmp_path / "copy")
    wanted = "1.2.0" if is_well else "1.1.0"
    effects = begin(None).effects
    first = next(at for at, effect in enumerate(effects) if effect.startswith(since))
    last = max(at for at, effect in enumerate(effects) if effect == "remove own.json")
    assert last - first > 20
    for kill_at in range(first, last + 2):
        if effects[kill_at].startswith("sync"):
            continue  # no power is cut here: what is on the disk is what the next effect finds
        begin(kill_at)
        # Whatever is on disk now, the launcher finds an updater in it (``choose`` looks).
        assert host.boot(FastFs(), comes_up=comes_up, cycles=2) == wanted, effects[kill_at]
        assert host.pointers() == ((wanted, "1.1.0") if is_well else ("1.1.0", None)), effects[kill_at]
        outcomes = {report.outcome for report in host.reports()}
        assert outcomes == {Outcome.OK if is_well else Outcome.ROLLED_BACK}, effects[kill_at]
        assert len({report.attempt for report in host.reports()}) == 1, effects[kill_at]
        assert OwnFile(host.base.paths, FastFs()).load() is None, effects[kill_at]
        assert host.versions() == sorted({"1.1.0", wanted}), effects[kill_at]
    host.close()
