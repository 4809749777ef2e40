"""Killed while taking over, damaged, and taken over twice: the cache is a whole set."""

from __future__ import annotations

from pathlib import Path

import pytest

from engineshed_packages.metadata import trusted_view, verify_view
from engineshed_packages.metadata_cache import MetadataCache
from tests.packages.forgery import (
    contents,
)
from tests.vendor import Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_cache_killed_before_the_timestamp_is_still_the_old_set(vendor: Vendor, cache: Path) -> None:
    old = vendor.view(cache)
    vendor.release("1.0.0")
    new = verify_view(vendor.source, cache=cache, trusted_root=vendor.root, now=vendor.now)
    for file in new.files[:-1]:
        (cache / "metadata" / file.name).write_bytes(file.data)
    assert trusted_view(cache=cache, trusted_root=vendor.root, now=vendor.now).targets == old.targets


def test_a_damaged_file_in_the_cache_is_fetched_anew(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    good = vendor.view(cache)
    for path in (cache / "metadata").iterdir():
        path.write_bytes(b"\0" * 10)
    assert vendor.view(cache) == good
    assert contents(cache / "metadata") == {file.name: file.data for file in good.files}


def test_keeping_twice_is_as_keeping_once(vendor: Vendor, cache: Path) -> None:
    view = vendor.view(cache)
    MetadataCache(cache).keep(view.files)
    assert contents(cache / "metadata") == {file.name: file.data for file in view.files}
