"""Trusted time, expiry, and what was seen: nothing older comes back."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Root, Timestamp

from engineshed_packages.errors import ProtocolRefused
from engineshed_packages.metadata import ISSUED_FIELD, MAX_VERSION, Seen, open_view, trusted_view
from engineshed_packages.repository.signing import Signer
from engineshed_packages.sources import FolderSource
from engineshed_packages.times import format_time
from tests.packages.forgery import (
    contents,
    metadata_file,
    refused,
    rotate_online_key,
    sign_timestamp,
    sign_with_stolen_online_key,
)
from tests.vendor import Vendor

LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)
FAR_AHEAD = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# --- time


def test_a_clock_behind_does_no_harm(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    view = vendor.view(cache, now=LONG_AGO)
    assert view.trusted_time == view.issued


def test_a_clock_ahead_of_an_expiry_is_refused_and_the_clock_is_named(vendor: Vendor, cache: Path) -> None:
    error = refused(vendor, cache, now=FAR_AHEAD)
    assert error.code == "metadata-expired"
    assert "clock" in error.message


def test_a_date_the_vendor_signed_before_counts_against_a_clock_put_back(vendor: Vendor, cache: Path) -> None:
    error = refused(vendor, cache, now=LONG_AGO, seen=Seen(newest_date=FAR_AHEAD))
    assert error.code == "metadata-expired"


def test_a_timestamp_issued_after_the_end_of_its_own_set_is_refused(vendor: Vendor, cache: Path) -> None:
    """By the clock it would be good; by the vendor's own date it is not, and must not be remembered."""
    sign_timestamp(
        vendor, lambda timestamp: timestamp.unrecognized_fields.update({ISSUED_FIELD: "2098-01-01T00:00:00Z"})
    )
    assert refused(vendor, cache).code == "metadata-expired"


def test_a_product_whose_signature_ended_is_left_out_and_stops_no_other(tmp_path: Path, cache: Path) -> None:
    vendor = Vendor(tmp_path, products=("alpha", "beta"))
    vendor.release("1.0.0", product="alpha")
    vendor.tick(days=2 * 365)
    beta = vendor.release("1.0.0", product="beta")
    vendor.tick(days=1.5 * 365)
    vendor.refresh()
    view = vendor.view(cache)
    assert view.targets == (beta,)
    assert "expired" in view.unusable["alpha"]
    assert {role.name for role in view.roles if role.expires < vendor.now} == {"alpha"}
    assert "2.alpha.json" in {file.name for file in view.files}


def test_an_expired_product_stays_left_out_when_only_the_cache_is_asked(tmp_path: Path, cache: Path) -> None:
    vendor = Vendor(tmp_path, products=("alpha", "beta"))
    vendor.tick(days=3.5 * 365)
    vendor.refresh("beta")
    view = vendor.view(cache)
    assert trusted_view(cache=cache, trusted_root=vendor.root, now=vendor.now) == view


# --- older than seen


def copy_of(vendor: Vendor, tmp_path: Path) -> FolderSource:
    """The repository as it is now."""
    folder = tmp_path / "old"
    shutil.copytree(vendor.repository.folder, folder)
    return FolderSource(folder)


def test_an_older_repository_is_refused_by_the_cache(vendor: Vendor, tmp_path: Path, cache: Path) -> None:
    old = copy_of(vendor, tmp_path)
    vendor.release("1.0.0")
    vendor.view(cache)
    assert refused(vendor, cache, source=old).code == "metadata-rollback"


def test_an_older_repository_is_refused_by_what_was_seen_when_the_cache_is_lost(
    vendor: Vendor, tmp_path: Path, cache: Path
) -> None:
    old = copy_of(vendor, tmp_path)
    vendor.release("1.0.0")
    seen = vendor.view(cache).seen
    shutil.rmtree(cache)
    assert refused(vendor, cache, source=old, seen=seen).code == "metadata-rollback"


def test_an_older_root_is_refused_by_what_was_seen(vendor: Vendor, tmp_path: Path, cache: Path) -> None:
    vendor.refresh("root")
    seen = vendor.view(cache).seen
    shutil.rmtree(cache)
    metadata_file(vendor, "2.root.json").unlink()
    assert refused(vendor, cache, seen=seen).code == "metadata-rollback"


def test_the_same_repository_again_is_no_rollback(vendor: Vendor, cache: Path) -> None:
    seen = vendor.view(cache).seen
    view = open_view(vendor.source, cache=cache, trusted_root=vendor.root, now=vendor.now, seen=seen)
    assert view.seen == seen


def test_what_was_seen_only_grows(vendor: Vendor, cache: Path) -> None:
    first = vendor.view(cache).seen
    vendor.release("1.0.0")
    second = open_view(vendor.source, cache=cache, trusted_root=vendor.root, now=vendor.now, seen=first).seen
    assert second.timestamp_version == first.timestamp_version + 1
    assert second.newest_date == vendor.now


def test_a_new_root_with_another_online_key_heals_a_timestamp_that_was_run_up(
    vendor: Vendor, cache: Path
) -> None:
    def run_up(timestamp: Timestamp) -> None:
        timestamp.version = MAX_VERSION

    sign_timestamp(vendor, run_up)
    seen = vendor.view(cache).seen
    assert seen.timestamp_version == MAX_VERSION
    rotate_online_key(vendor)
    view = open_view(vendor.source, cache=cache, trusted_root=vendor.root, now=vendor.now, seen=seen)
    assert view.timestamp_version == 1
    assert view.seen.timestamp_version == 1


def test_a_lower_timestamp_under_the_same_online_key_is_a_rollback_even_with_a_newer_root(
    vendor: Vendor, cache: Path
) -> None:
    seen = Seen(root_version=1, timestamp_version=50, timestamp_keys=vendor.view(cache).seen.timestamp_keys)
    vendor.refresh("root")
    assert refused(vendor, cache, seen=seen).code == "metadata-rollback"


def test_what_was_seen_survives_writing_and_reading(vendor: Vendor, cache: Path) -> None:
    seen = vendor.view(cache).seen
    assert Seen.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


def test_what_was_seen_ignores_fields_of_a_newer_version() -> None:
    assert Seen.from_dict({"root_version": 3, "later": [1]}) == Seen(root_version=3)


def test_what_was_seen_is_refused_when_it_makes_no_sense() -> None:
    with pytest.raises(ProtocolRefused) as caught:
        Seen.from_dict({"root_version": -1})
    assert caught.value.code == "seen-unreadable"


# --- what a stolen online key could sign, and nobody could read back or undo

TWO_YEARS = timedelta(days=730)


@pytest.mark.parametrize("version", [MAX_VERSION + 1, 10**11, 2**53, 10**300])
@pytest.mark.parametrize("place", ["timestamp_version", "snapshot_version", "listed_version"])
def test_a_version_that_could_not_be_read_back_is_refused_before_it_is_kept(
    vendor: Vendor, cache: Path, place: str, version: int
) -> None:
    vendor.view(cache)
    before = contents(cache)
    if place == "snapshot_version" and version > 10**100:
        sign_timestamp(vendor, lambda timestamp: setattr(timestamp.snapshot_meta, "version", version))
    else:
        sign_with_stolen_online_key(vendor, **{place: version})  # type: ignore[arg-type]  # a table of cases
    assert refused(vendor, cache).code == "metadata-version-absurd"
    assert contents(cache) == before


def test_a_root_whose_version_could_not_be_read_back_is_refused(vendor: Vendor, cache: Path) -> None:
    root = vendor.repository.published().root
    root.version = MAX_VERSION + 1
    file = Signer(vendor.keys, vendor.now).role_file(Root.type, root, root)
    assert refused(vendor, cache, trusted_root=file.data).code == "metadata-version-absurd"


def test_the_highest_version_is_remembered_and_read_back(vendor: Vendor, cache: Path) -> None:
    sign_with_stolen_online_key(vendor, timestamp_version=MAX_VERSION, snapshot_version=MAX_VERSION)
    seen = vendor.view(cache).seen
    assert Seen.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


@pytest.mark.parametrize("issued", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z"])
def test_a_signed_date_before_1970_is_refused_before_it_is_kept(
    vendor: Vendor, cache: Path, issued: str
) -> None:
    vendor.view(cache)
    before = contents(cache)
    sign_with_stolen_online_key(vendor, issued=issued)
    assert refused(vendor, cache).code == "metadata-date-absurd"
    assert contents(cache) == before


def test_a_root_with_more_timestamp_keys_than_are_remembered_is_refused(vendor: Vendor, cache: Path) -> None:
    root = vendor.repository.published().root
    for number in range(17):
        root.add_key(vendor.keys.generate(f"more-{number}"), Timestamp.type)
    root.version += 1
    file = Signer(vendor.keys, vendor.now).role_file(Root.type, root, root)
    metadata_file(vendor, file.name).write_bytes(file.data)
    assert refused(vendor, cache).code == "metadata-unreadable"


def test_a_new_root_with_another_online_key_heals_a_date_that_was_put_ahead(
    vendor: Vendor, cache: Path
) -> None:
    """By that date the release's own signature has ended, and each new order would have too."""
    target = vendor.release("1.0.0")
    sign_with_stolen_online_key(vendor, issued=format_time(vendor.now + 2 * TWO_YEARS))
    poisoned = vendor.view(cache)
    assert (poisoned.find(target.path), poisoned.trusted_time > vendor.now) == (None, True)
    rotate_online_key(vendor)
    view = open_view(vendor.source, cache=cache, trusted_root=vendor.root, now=vendor.now, seen=poisoned.seen)
    assert view.find(target.path) == target
    assert (view.trusted_time, view.seen.newest_date) == (vendor.now, vendor.now)


def test_a_date_beyond_the_end_of_the_roots_own_life_is_healed_too(vendor: Vendor, cache: Path) -> None:
    """Once it was remembered, nothing verified at that date could ever pass."""
    seen = vendor.view(cache).seen
    poisoned = Seen(
        root_version=seen.root_version,
        timestamp_version=seen.timestamp_version,
        newest_date=vendor.now + 10 * TWO_YEARS,
        timestamp_keys=seen.timestamp_keys,
    )
    rotate_online_key(vendor)
    view = open_view(vendor.source, cache=cache, trusted_root=vendor.root, now=vendor.now, seen=poisoned)
    assert view.seen.newest_date == vendor.now


def test_a_signed_date_still_counts_under_a_newer_root_with_the_same_online_key(
    vendor: Vendor, cache: Path
) -> None:
    ahead = vendor.now + TWO_YEARS
    sign_with_stolen_online_key(vendor, issued=format_time(ahead))
    seen = vendor.view(cache).seen
    vendor.now = ahead
    vendor.refresh("root")
    view = open_view(vendor.source, cache=cache, trusted_root=vendor.root, now=ahead - TWO_YEARS, seen=seen)
    assert (view.root_version, view.trusted_time >= ahead) == (2, True)


@pytest.mark.parametrize(
    "values",
    [
        {"root_version": MAX_VERSION + 1},
        {"timestamp_version": -1},
        {"newest_date": datetime(1, 1, 1, tzinfo=UTC)},
        {"newest_date": datetime(2026, 1, 1)},
        {"timestamp_keys": ("key",) * 17},
        {"timestamp_keys": ("k\x1b",)},
        {"timestamp_keys": ("k" * 201,)},
    ],
)
def test_what_could_not_be_read_back_is_no_seen(values: dict[str, object]) -> None:
    with pytest.raises(ProtocolRefused) as caught:
        Seen(**values)  # type: ignore[arg-type]  # a table of fields
    assert caught.value.code == "seen-unreadable"
