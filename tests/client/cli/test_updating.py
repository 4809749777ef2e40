"""``check``, ``update``, ``install``, ``rollback``, ``recover``: by hand, against a scripted portal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engineshed_client.cli import frame
from engineshed_client.install.trees import list_previous
from engineshed_client.journal import State
from engineshed_client.steps.beginning import begin_install
from engineshed_packages.bundle import open_bundle
from engineshed_packages.ids import new_id
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from tests.client.joined_base import JoinedBase
from tests.faulty_http import answers
from tests.vendor import Vendor


@pytest.fixture
def newer(joined: JoinedBase, vendor: Vendor) -> Target:
    joined.install("1.0.0")
    target = vendor.release("1.1.0")
    joined.portal.publish(vendor)
    return target


def order(joined: JoinedBase, target: Target, **changes: object) -> None:
    offer = joined.portal.offer(joined.portal.order(target, **changes))
    joined.portal.answer_polls(offer, offer, joined.portal.no_news())


def test_check_without_news_is_0(joined: JoinedBase, newer: Target) -> None:
    assert joined.command("check") == 0


def test_check_with_an_update_is_100_and_installs_nothing(
    joined: JoinedBase, newer: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    order(joined, newer)
    assert joined.command("check", "--json") == 100
    assert json.loads(capsys.readouterr().out)["version"] == "1.1.0"
    assert (joined.version, joined.journal, joined.log_lines("REFUSED")) == ("1.0.0", None, [])


def test_check_of_a_refused_order_is_77(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer, engine=new_id("eng"))
    assert joined.command("check") == 77


def test_check_without_a_portal_is_69(joined: JoinedBase) -> None:
    joined.portal.server.at("/api/v1/poll", answers.status(500))
    assert joined.command("check") == 69


def test_check_at_a_busy_portal_is_75(joined: JoinedBase) -> None:
    joined.portal.server.at("/api/v1/poll", answers.status(429, {"Retry-After": "5"}))
    assert joined.command("check") == 75


def test_update_carries_out_what_is_ordered(
    joined: JoinedBase, newer: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    order(joined, newer)
    assert joined.command("update", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], len(told["attempts"]), joined.version) == ("1.1.0", 1, "1.1.0")


def test_update_without_news_is_0(joined: JoinedBase, newer: Target) -> None:
    assert joined.command("update") == 0


def test_update_of_a_broken_release_is_80(joined: JoinedBase, vendor: Vendor) -> None:
    joined.install("1.0.0")
    target = vendor.release("1.1.0", files={"VERSION": b"0.0.1"})
    joined.portal.publish(vendor)
    order(joined, target)
    assert joined.command("update", "--set", "engine.max_ticks=1") == 80
    assert joined.version == "1.0.0"


def test_update_with_a_hostile_order_is_77(joined: JoinedBase, newer: Target) -> None:
    order(joined, newer, engine=new_id("eng"))
    assert joined.command("update") == 77


def test_update_with_a_strangers_metadata_is_65(joined: JoinedBase, newer: Target, tmp_path: Path) -> None:
    joined.portal.publish(Vendor(tmp_path, name="stranger"))
    order(joined, newer)
    assert joined.command("update") == 65


def test_update_beside_another_updater_is_75(
    joined: JoinedBase, newer: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "LOCK_WAIT_S", 0.0)
    with joined.context.fs.lock(joined.paths.lock):
        assert joined.command("update") == 75


def test_without_enrolment_update_is_78(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    joined.paths.credentials.unlink()
    assert joined.command("update") == 78
    assert "engineshed-client enrol" in capsys.readouterr().err


def test_install_needs_neither_portal_nor_order(joined: JoinedBase, vendor: Vendor) -> None:
    vendor.release("1.0.0")
    joined.paths.credentials.unlink()
    assert joined.command("install", str(vendor.bundle("1.0.0"))) == 0
    assert (joined.version, joined.context.supervisor.is_running()) == ("1.0.0", True)


def test_install_of_what_is_installed_is_0(joined: JoinedBase, vendor: Vendor) -> None:
    joined.install("1.0.0")
    assert joined.command("install", str(vendor.bundle("1.0.0"))) == 0
    assert len(joined.log_lines("BEGIN")) == 1


def test_install_keeps_what_the_bundle_adds_to_what_is_trusted(joined: JoinedBase, vendor: Vendor) -> None:
    vendor.release("1.0.0")
    joined.command("install", str(vendor.bundle("1.0.0")))
    assert (joined.paths.metadata / "metadata" / "timestamp.json").exists()
    assert joined.context.seen.load().metadata.root_version == 1


def test_a_bundle_without_packages_tells_an_engine_without_a_portal_of_a_withdrawal(
    joined: JoinedBase, vendor: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    vendor.release("1.1.0")
    before = vendor.bundle("1.1.0")
    vendor.change("1.1.0", ReleaseChange(withdrawn=True, message="Does not start."))
    assert joined.command("install", str(vendor.metadata_bundle())) == 0
    assert "holds no package" in capsys.readouterr().out
    assert joined.command("install", str(before)) == 77
    assert "[withdrawn]" in (told := capsys.readouterr().err)
    assert "Does not start." in told
    assert (joined.version, len(joined.log_lines("BEGIN"))) == ("1.0.0", 1)


def test_install_of_an_older_bundle_takes_its_package(joined: JoinedBase, vendor: Vendor) -> None:
    vendor.release("1.0.0")
    older = vendor.bundle("1.0.0")
    vendor.release("1.1.0")
    joined.command("install", str(vendor.bundle("1.1.0")))
    seen = joined.context.seen.load()
    assert joined.command("install", str(older), "--allow-downgrade") == 0
    assert (joined.version, joined.context.seen.load().metadata) == ("1.0.0", seen.metadata)


def test_install_of_an_older_version_is_77_and_changes_nothing(
    joined: JoinedBase, vendor: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    joined.install("1.1.0")
    assert joined.command("install", str(vendor.bundle("1.0.0"))) == 77
    assert (joined.version, len(joined.log_lines("BEGIN"))) == ("1.1.0", 2)
    assert "--allow-downgrade" in capsys.readouterr().err


def test_the_vendors_floor_holds_for_an_allowed_downgrade_too(
    joined: JoinedBase, vendor: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    vendor.release("1.1.0", terms=ReleaseTerms(floor=Version.parse("1.1.0")))
    assert joined.command("install", str(vendor.bundle("1.1.0"))) == 0
    assert joined.command("install", str(vendor.bundle("1.0.0")), "--allow-downgrade") == 77
    assert "[below-floor]" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["install", "update", "rollback"])
def test_an_engine_that_was_stopped_stays_so_and_that_is_said(
    joined: JoinedBase, newer: Target, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "rollback":
        joined.install("1.2.0")
    order(joined, newer)
    joined.context.supervisor.stop(5)
    arguments = [command] if command != "install" else [command, str(joined.vendor.bundle("1.1.0"))]
    assert joined.command(*arguments) == 0
    assert "(not started: it was not running before)" in capsys.readouterr().out


def test_whether_the_new_engine_was_probed_is_told_as_data(
    joined: JoinedBase, newer: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for stopped in (True, False):
        if stopped:
            joined.context.supervisor.stop(5)
        else:
            joined.context.supervisor.start()
        joined.command("--json", "install", str(joined.vendor.bundle("1.1.0")))
        told.append(json.loads(capsys.readouterr().out)["probed"])
        joined.command("-q", "rollback")
        capsys.readouterr()
        joined.context.seen.save(joined.context.seen.load().without_skipped(newer.sha256))
    assert told == [False, True]


def test_a_command_that_waits_for_another_updater_says_so(
    joined: JoinedBase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(frame, "LOCK_WAIT_S", 0.3)
    with joined.context.fs.lock(joined.paths.lock):
        joined.command("rollback")
    assert capsys.readouterr().err.count("waiting for another updater on this base") == 1


def test_install_of_a_package_is_told_to_need_a_bundle(
    joined: JoinedBase, vendor: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert joined.command("install", str(vendor.package("1.0.0"))) == 65
    assert "is a package, not a bundle" in capsys.readouterr().err


def test_install_of_a_file_that_is_no_zip_is_65(joined: JoinedBase, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip at all")
    assert joined.command("install", str(tmp_path / "x.zip")) == 65


def test_install_of_a_truncated_bundle_is_65(joined: JoinedBase, vendor: Vendor, tmp_path: Path) -> None:
    vendor.release("1.0.0")
    data = vendor.bundle("1.0.0").read_bytes()
    (tmp_path / "x.zip").write_bytes(data[: len(data) // 2])
    assert joined.command("install", str(tmp_path / "x.zip")) == 65


def test_install_of_a_strangers_bundle_is_65_and_stops_nothing(
    joined: JoinedBase, vendor: Vendor, tmp_path: Path
) -> None:
    joined.install("1.0.0")
    identity = joined.context.supervisor.identity()
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("2.0.0")
    assert joined.command("install", str(stranger.bundle("2.0.0"))) == 65
    assert joined.context.supervisor.identity() == identity


def test_install_of_an_altered_bundle_is_65_and_stops_nothing(
    joined: JoinedBase, vendor: Vendor, tmp_path: Path
) -> None:
    joined.install("1.0.0")
    vendor.release("1.1.0", files={"lib/a.txt": b"a" * 5000})
    path = vendor.bundle("1.1.0")
    path.write_bytes(path.read_bytes().replace(b"a" * 5000, b"b" * 5000))
    identity = joined.context.supervisor.identity()
    assert joined.command("install", str(path)) == 65
    assert joined.context.supervisor.identity() == identity


def test_install_of_another_product_is_77(joined: JoinedBase, tmp_path: Path) -> None:
    other = Vendor(tmp_path, name="other", products=("portal",))
    other.release("1.0.0")
    (joined.paths.update / "trusted_root.json").write_bytes(other.root)
    assert joined.command("install", str(other.bundle("1.0.0"))) == 77


def test_install_of_a_file_that_does_not_exist_is_74(joined: JoinedBase, tmp_path: Path) -> None:
    assert joined.command("install", str(tmp_path / "absent.zip")) == 74


def test_install_of_what_failed_here_needs_retry(joined: JoinedBase, vendor: Vendor) -> None:
    joined.install("1.0.0")
    target = vendor.release("1.1.0")
    seen = joined.context.seen.load()
    joined.context.seen.save(seen.with_skipped(target.version, target.sha256))
    bundle = str(vendor.bundle("1.1.0"))
    assert [joined.command("install", bundle), joined.command("install", bundle, "--retry")] == [77, 0]


def test_a_bundle_is_never_extracted_whole(joined: JoinedBase, vendor: Vendor) -> None:
    vendor.release("1.0.0")
    path = vendor.bundle("1.0.0")
    joined.command("install", str(path))
    with open_bundle(path) as bundle:
        assert bundle.version_txt() != ""
    assert list(joined.paths.base.rglob("Version.txt")) == []


def test_rollback_returns_to_the_version_before(joined: JoinedBase) -> None:
    joined.install("1.0.0")
    joined.install("1.1.0")
    assert joined.command("rollback") == 0
    assert (joined.version, joined.context.supervisor.is_running()) == ("1.0.0", True)


def test_what_was_left_by_hand_is_not_ordered_again_at_once(
    joined: JoinedBase, vendor: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    target = vendor.release("1.1.0")
    assert joined.command("install", str(vendor.bundle("1.1.0"))) == 0
    joined.command("rollback")
    assert [one.sha256 for one in joined.context.seen.load().skipped] == [target.sha256]
    assert "until an order says retry" in capsys.readouterr().err


def test_rollback_to_a_named_version(joined: JoinedBase) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        joined.install(version)
    assert joined.command("rollback", "1.0.0") == 0
    assert joined.version == "1.0.0"


@pytest.mark.parametrize("version", ["9.9.9", "soon"])
def test_rollback_to_what_is_not_kept_is_77(
    joined: JoinedBase, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    joined.install("1.1.0")
    assert joined.command("rollback", version) == 77


def test_rollback_without_a_previous_version_is_77(joined: JoinedBase) -> None:
    joined.install("1.0.0")
    assert joined.command("rollback") == 77


def test_rollback_to_what_is_installed_is_0_and_says_so(
    joined: JoinedBase, capsys: pytest.CaptureFixture[str]
) -> None:
    joined.install("1.0.0")
    assert joined.command("rollback", "1.0.0") == 0
    assert capsys.readouterr().out == "1.0.0 is installed already\n"


def test_however_often_it_goes_back_and_forth_no_more_is_kept_than_wanted(
    joined: JoinedBase, vendor: Vendor
) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        joined.install(version)
    for _ in range(3):
        assert joined.command("rollback") == 0
        assert joined.command("install", str(vendor.bundle("1.2.0")), "--retry") == 0
    assert len(list_previous(joined.paths)) == joined.context.settings.keep_previous


def test_recover_with_nothing_left_is_0(joined: JoinedBase, capsys: pytest.CaptureFixture[str]) -> None:
    assert joined.command("recover") == 0
    assert "nothing was left" in capsys.readouterr().out


def test_recover_needs_no_enrolment(joined: JoinedBase) -> None:
    joined.paths.credentials.unlink()
    assert joined.command("recover") == 0


def test_recover_lets_the_engine_start_that_a_living_updater_starts(joined: JoinedBase) -> None:
    """systemd calls it before the engine whose start the updater waits for."""
    joined.install("1.0.0")
    with joined.context.fs.lock(joined.paths.lock):
        assert joined.command("recover") == 0


@pytest.mark.parametrize("state", [State.STOPPING, State.CARRYING, State.SWAPPING])
def test_recover_fails_while_a_living_updater_has_no_engine_in_its_place(
    joined: JoinedBase, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    monkeypatch.setattr(frame, "LOCK_WAIT_S", 0.0)
    target = joined.vendor.release("1.0.0")
    bundle = joined.vendor.bundle("1.0.0")
    journal = begin_install(joined.context, target, bundle=bundle)
    joined.context.save(journal.moved(state, joined.context.now()))
    with joined.context.fs.lock(joined.paths.lock):
        assert joined.command("recover") == 75
