"""The vendor's repository: what is signed how, compare-and-swap, and killed at any write."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root, Targets, Timestamp

from engineshed_packages import files
from engineshed_packages import repository as repository_module
from engineshed_packages.errors import Conflict, KeyUnusable, MetadataRefused, PackagesError, Refused
from engineshed_packages.locks import exclusive
from engineshed_packages.metadata import ISSUED_FIELD, verify_view
from engineshed_packages.repository import Repository
from engineshed_packages.repository.creation import NewRepository, create_repository, refresh
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.lifetimes import YEAR
from engineshed_packages.repository.releases import ReleaseTerms, add_release
from engineshed_packages.times import format_time
from tests.packages.forgery import contents, metadata_file
from tests.vendor import PASSPHRASE, PRODUCT, STARTED, Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


def signed_root(vendor: Vendor) -> Root:
    return vendor.repository.published().root


# --- what a new repository has


def test_a_new_repository_has_consistent_snapshots(vendor: Vendor) -> None:
    assert signed_root(vendor).consistent_snapshot is True
    assert set(contents(vendor.repository.metadata)) == {
        "1.root.json",
        "1.targets.json",
        f"1.{PRODUCT}.json",
        "1.snapshot.json",
        "timestamp.json",
    }


def test_each_product_has_one_delegated_terminating_role_for_its_paths_alone(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path, products=("alpha", "beta"))
    delegations = vendor.repository.published().roles["targets"].signed.delegations
    assert delegations is not None
    assert delegations.roles is not None
    found = [(role.paths, role.terminating, len(role.keyids)) for role in delegations.roles.values()]
    assert found == [(["alpha/*/*"], True, 1), (["beta/*/*"], True, 1)]


def test_the_targets_role_signs_delegations_only(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    assert vendor.repository.published().roles["targets"].signed.targets == {}


def test_snapshot_and_timestamp_share_a_key_that_signs_nothing_else(vendor: Vendor) -> None:
    roles = signed_root(vendor).roles
    assert roles["snapshot"].keyids == roles["timestamp"].keyids
    assert not {*roles["root"].keyids, *roles["targets"].keyids} & set(roles["timestamp"].keyids)


def test_a_root_of_2_of_3_is_signed_by_three_keys_and_needs_two(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path, root_keys=3, threshold=2)
    root = Metadata[Root].from_bytes(vendor.root)
    assert (len(root.signatures), root.signed.roles["root"].threshold) == (3, 2)


@pytest.mark.parametrize(
    ("products", "root_keys", "threshold"), [((), 1, 1), (("a", "a"), 1, 1), (("a",), 1, 2), (("a",), 1, 0)]
)
def test_a_plan_that_makes_no_sense_is_refused(
    products: tuple[str, ...], root_keys: int, threshold: int
) -> None:
    with pytest.raises(Refused) as caught:
        NewRepository(products=products, root_keys=root_keys, threshold=threshold)
    assert caught.value.code == "keys-plan"


def test_a_repository_is_made_only_once(vendor: Vendor, tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "other-keys", PASSPHRASE)
    with pytest.raises(Refused) as caught:
        create_repository(vendor.repository, keys, NewRepository(products=("a",)), STARTED)
    assert caught.value.code == "repository-exists"
    assert not keys.folder.exists()


@pytest.mark.parametrize(
    ("role", "years"), [("root", 10), ("targets", 5), (PRODUCT, 3), ("snapshot", 3), ("timestamp", 3)]
)
def test_each_role_expires_as_planned(vendor: Vendor, role: str, years: int) -> None:
    ages = {age.name: age.expires for age in vendor.repository.ages(STARTED)}
    assert ages[role] == STARTED + years * YEAR


# --- signing anew


def test_the_timestamp_carries_the_date_it_was_signed(vendor: Vendor) -> None:
    vendor.refresh()
    timestamp = vendor.repository.published().timestamp.signed
    assert timestamp.unrecognized_fields[ISSUED_FIELD] == format_time(vendor.now)


def test_a_refresh_signs_the_timestamp_anew_and_leaves_the_snapshot(vendor: Vendor) -> None:
    before = contents(vendor.repository.metadata)
    vendor.refresh()
    after = contents(vendor.repository.metadata)
    assert {name for name in after if after[name] != before.get(name)} == {"timestamp.json"}


def test_a_refresh_signs_an_ageing_snapshot_anew(vendor: Vendor) -> None:
    vendor.tick(days=365)
    vendor.refresh()
    assert metadata_file(vendor, "2.snapshot.json").exists()


@pytest.mark.parametrize("role", ["root", "targets", PRODUCT])
def test_a_refresh_of_a_role_begins_its_life_anew(vendor: Vendor, role: str) -> None:
    vendor.tick(days=900)
    vendor.refresh(role)
    (age,) = (age for age in vendor.repository.ages(vendor.now) if age.name == role)
    assert age.used_percent == 0
    verify_view(vendor.source, cache=vendor.folder / "cache", trusted_root=vendor.root, now=vendor.now)


def test_a_refresh_of_an_unknown_role_is_refused(vendor: Vendor) -> None:
    with pytest.raises(Refused) as caught:
        vendor.refresh("nobody")
    assert caught.value.code == "role-unknown"


def test_a_clock_behind_the_last_signature_is_refused(vendor: Vendor) -> None:
    before = contents(vendor.repository.metadata)
    with pytest.raises(KeyUnusable) as caught:
        refresh(vendor.repository, vendor.keys, STARTED - timedelta(days=1))
    assert caught.value.code == "clock-behind"
    assert contents(vendor.repository.metadata) == before


def test_a_release_below_an_expired_targets_role_is_refused(vendor: Vendor) -> None:
    package = vendor.package("1.0.0")
    vendor.tick(days=5 * 365 + 1)
    with pytest.raises(KeyUnusable) as caught:
        vendor.release("1.0.0", packages=[package])
    assert caught.value.code == "role-expired"


def test_an_expired_targets_role_is_mended_by_signing_it_anew(vendor: Vendor) -> None:
    vendor.tick(days=5 * 365 + 1)
    vendor.refresh("targets", PRODUCT)
    vendor.release("1.0.0")
    assert len(vendor.view(vendor.folder / "cache").targets) == 1


def test_a_root_needs_its_threshold_to_be_signed_anew(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path, root_keys=3, threshold=2)
    for name in ("root-1.pem", "root-2.pem"):
        (vendor.keys.folder / name).unlink()
    with pytest.raises(KeyUnusable) as caught:
        vendor.refresh("root")
    assert caught.value.code == "key-missing"
    assert not metadata_file(vendor, "2.root.json").exists()


def test_a_role_somebody_else_has_put_there_is_not_vouched_for(vendor: Vendor, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    name = f"1.{PRODUCT}.json"
    metadata_file(vendor, name).write_bytes(metadata_file(stranger, name).read_bytes())
    with pytest.raises(MetadataRefused) as caught:
        vendor.refresh()
    assert caught.value.code == "metadata-signature"


# --- two at once


def test_the_second_of_two_drafts_of_a_product_gets_a_conflict_and_changes_nothing(vendor: Vendor) -> None:
    first, second = vendor.package("1.0.0"), vendor.package("2.0.0")
    repository = vendor.repository
    with repository.draft() as slow:
        slow.change(PRODUCT)
        repository.add_file(slow, f"{PRODUCT}/2.0.0/loser.zip", second)
        vendor.release("1.0.0", packages=[first])
        before = contents(repository.metadata)
        with pytest.raises(Conflict) as caught:
            repository.publish(slow, vendor.keys, vendor.tick())
    assert caught.value.code == "published-meanwhile"
    assert contents(repository.metadata) == before
    assert [path for path in contents(repository.targets) if "1.0.0" not in path] == []


def test_the_loser_may_simply_try_again(vendor: Vendor) -> None:
    with vendor.repository.draft() as slow:
        slow.change(PRODUCT)
        vendor.release("1.0.0")
        with pytest.raises(Conflict):
            vendor.repository.publish(slow, vendor.keys, vendor.tick())
    vendor.release("2.0.0")
    assert len(vendor.view(vendor.folder / "cache").targets) == 2


def test_releases_of_two_products_are_no_conflict(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path, products=("alpha", "beta"))
    with vendor.repository.draft() as slow:
        slow.change("alpha")
        beta = vendor.release("1.0.0", product="beta")
        vendor.repository.publish(slow, vendor.keys, vendor.tick())
    assert vendor.view(tmp_path / "cache").targets == (beta,)


def test_two_release_managers_at_once_publish_one_each_or_one_conflict(vendor: Vendor) -> None:
    """Real threads on the real lock: whoever loses gets Conflict, and the repository verifies."""
    packages = [vendor.package(version) for version in ("1.0.0", "2.0.0")]
    now, errors = vendor.tick(), []
    start = threading.Barrier(2)

    def publish(package: Path) -> None:
        keys = KeyFolder(vendor.keys.folder, PASSPHRASE)
        start.wait()
        try:
            add_release(Repository(vendor.repository.folder), keys, [package], ReleaseTerms(), now=now)
        except PackagesError as err:
            errors.append(err)

    threads = [threading.Thread(target=publish, args=(package,)) for package in packages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(type(err), err.code) for err in errors} <= {(Conflict, "published-meanwhile")}
    assert len(vendor.view(vendor.folder / "cache").targets) == 2 - len(errors)


def test_a_repository_that_is_locked_is_a_conflict(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_module, "LOCK_WAIT_S", 0)
    with exclusive(vendor.repository.folder / ".lock", wait_s=0), pytest.raises(Conflict) as caught:
        vendor.refresh()
    assert caught.value.code == "locked"


# --- killed


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@pytest.mark.parametrize("survived", range(4))
def test_killed_at_any_write_nothing_is_half_published(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    old = vendor.release("1.0.0")
    writes: list[str] = []

    def killed_later(path: Path, data: bytes) -> None:
        if len(writes) == survived:
            raise Killed
        writes.append(path.name)
        files.write_file(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(repository_module, "write_file", killed_later)
        try:
            vendor.release("1.1.0")
        except Killed:
            pass
    found = vendor.view(vendor.folder / "cache").targets
    assert [target.path for target in found][:1] == [old.path]
    assert len(found) == (2 if "timestamp.json" in writes else 1)
    vendor.release("1.1.0")
    assert len(vendor.view(vendor.folder / "cache").targets) == 2


def test_the_timestamp_is_written_last(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []

    def noted(path: Path, data: bytes) -> None:
        assert (vendor.repository.targets / PRODUCT / "1.0.0").exists()
        writes.append(path.name)
        files.write_file(path, data)

    monkeypatch.setattr(repository_module, "write_file", noted)
    vendor.release("1.0.0")
    assert writes == [f"2.{PRODUCT}.json", "2.snapshot.json", "timestamp.json"]


def test_an_incoming_file_left_by_a_kill_is_swept_a_day_later(vendor: Vendor) -> None:
    left = vendor.repository.targets / ".incoming-1"
    fresh = vendor.repository.targets / ".incoming-2"
    for path in (left, fresh):
        path.write_bytes(b"x")
    os.utime(left, (0, 0))
    vendor.refresh()
    assert (left.exists(), fresh.exists()) == (False, True)


def test_a_draft_does_not_change_what_it_was_made_from(vendor: Vendor) -> None:
    with vendor.repository.draft() as draft:
        role: Targets = draft.change(PRODUCT)
        role.version = 99
        assert draft.base.roles[PRODUCT].signed.version == 1
        assert draft.change(PRODUCT) is role


def test_a_timestamp_file_is_a_timestamp(vendor: Vendor) -> None:
    data = metadata_file(vendor, "timestamp.json").read_bytes()
    assert isinstance(Metadata[Timestamp].from_bytes(data).signed, Timestamp)
