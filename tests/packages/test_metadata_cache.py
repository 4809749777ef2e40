"""Killed while taking over, damaged, and taken over twice: the cache is a whole set."""

from __future__ import annotations

from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, MetaFile, Snapshot

from engineshed_packages import files
from engineshed_packages.metadata import cache as metadata_cache
from engineshed_packages.metadata import trusted_view, verify_view
from engineshed_packages.metadata.cache import MetadataCache
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


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@pytest.mark.parametrize("survived", range(4))
def test_killed_at_any_write_the_cache_is_the_old_set_or_the_new_one(
    vendor: Vendor, cache: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    vendor.view(cache)
    vendor.release("1.0.0")
    writes: list[str] = []

    def killed_later(path: Path, data: bytes) -> None:
        if len(writes) == survived:
            raise Killed
        writes.append(path.name)
        files.write_file(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(metadata_cache, "write_file", killed_later)
        try:
            vendor.view(cache)
        except Killed:
            pass
    found = trusted_view(cache=cache, trusted_root=vendor.root, now=vendor.now).targets
    assert len(found) == (1 if "timestamp.json" in writes else 0)
    assert len(vendor.view(cache).targets) == 1


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


def test_a_role_with_a_slash_in_its_name_comes_from_the_cache(vendor: Vendor, cache: Path) -> None:
    """It is one file in the repository, in the cache and for the library: never a path."""
    (snapshot,) = (vendor.repository.metadata).glob("*.snapshot.json")
    metadata = Metadata[Snapshot].from_bytes(snapshot.read_bytes())
    metadata.signed.meta["a/b.json"] = MetaFile(3)
    folder = cache / "metadata"
    folder.mkdir(parents=True)
    (folder / snapshot.name).write_bytes(metadata.to_bytes())
    (folder / "timestamp.json").write_bytes((vendor.repository.metadata / "timestamp.json").read_bytes())
    (folder / "3.a%2Fb.json").write_bytes(b"role")
    with MetadataCache(cache).scratch() as scratch:
        assert (scratch / "a%2Fb.json").read_bytes() == b"role"
