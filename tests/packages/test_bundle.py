"""Bundles: what is in them, what is believed of them, and what is ever opened."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from engineshed_packages.archive import Archive, Entry, Item, open_archive, write_archive
from engineshed_packages.bundle import VerifiedBundle, open_bundle, write_bundle
from engineshed_packages.errors import (
    ArchiveRefused,
    ContentMismatch,
    MetadataRefused,
    Missing,
    PackagesError,
    ReleaseRefused,
)
from engineshed_packages.metadata import Seen
from engineshed_packages.metadata.cache import MetadataCache
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_packages.versions import Version
from tests.packages.forgery import contents, rotate
from tests.vendor import PRODUCT, Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def names(path: Path) -> list[str]:
    with open_archive(path) as archive:
        return [entry.name for entry in archive.entries]


def altered(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of the bundle with other entries, a sound zip again."""
    with open_archive(path) as archive:
        entries = {entry.name: archive.read(entry.name, max_bytes=10**7) for entry in archive.entries}
    change(entries)
    output = path.with_name(f"altered-{path.name}")
    write_archive(output, [Item.of_bytes(name, data) for name, data in entries.items()])
    return output


def verify(vendor: Vendor, path: Path, cache: Path, *, seen: Seen | None = None) -> VerifiedBundle:
    with open_bundle(path) as bundle:
        return bundle.verify(cache=cache, trusted_root=vendor.root, now=vendor.now, seen=seen)


def refusal(vendor: Vendor, path: Path, cache: Path) -> PackagesError:
    with pytest.raises(PackagesError) as caught:
        verify(vendor, path, cache)
    return caught.value


# --- writing


def test_a_bundle_holds_version_txt_all_roots_the_current_set_and_the_packages(vendor: Vendor) -> None:
    vendor.refresh("root")
    target = vendor.release("1.0.0")
    assert names(vendor.bundle("1.0.0")) == [
        "Version.txt",
        "metadata/1.root.json",
        "metadata/2.root.json",
        "metadata/1.targets.json",
        f"metadata/2.{PRODUCT}.json",
        "metadata/2.snapshot.json",
        "metadata/timestamp.json",
        f"targets/{target.download_name}",
    ]


def test_a_bundle_holds_the_packages_of_its_release_alone(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    vendor.release("1.1.0")
    packages = [name for name in names(vendor.bundle("1.1.0")) if name.startswith("targets/")]
    assert len(packages) == 1
    assert "1.1.0" in packages[0]


def test_a_bundle_may_hold_chosen_platforms_only(vendor: Vendor) -> None:
    vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    packages = [
        name for name in names(vendor.bundle("1.0.0", platforms=["linux-x86_64"])) if "targets/" in name
    ]
    assert [name.rpartition(".sample")[2] for name in packages] == ["-engine-1.0.0-linux-x86_64.zip"]


def test_a_bundle_holds_the_notes_of_its_release(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0", terms=ReleaseTerms(notes=vendor.notes()))
    verified = verify(vendor, vendor.bundle("1.0.0"), cache)
    assert [found.path for found in verified.notes] == [f"{PRODUCT}/1.0.0/{PRODUCT}-1.0.0-notes.json"]


def test_the_same_release_gives_the_same_bundle(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    assert vendor.bundle("1.0.0").read_bytes() == vendor.bundle("1.0.0").read_bytes()


def test_version_txt_names_product_version_and_both_digests(vendor: Vendor) -> None:
    target = vendor.release("1.0.0")
    with open_bundle(vendor.bundle("1.0.0")) as bundle:
        text = bundle.version_txt()
    assert f"Product:   {PRODUCT}\nVersion:   1.0.0\n" in text
    assert target.sha256 in text
    assert "SHA-1:" in text


@pytest.mark.parametrize(("version", "platforms"), [("9.9.9", []), ("1.0.0", ["linux-x86_64"])])
def test_a_bundle_of_what_was_never_released_is_refused(
    vendor: Vendor, tmp_path: Path, version: str, platforms: list[str]
) -> None:
    vendor.release("1.0.0")
    output = tmp_path / "out.zip"
    with pytest.raises(ReleaseRefused) as caught:
        write_bundle(vendor.repository, PRODUCT, Version.parse(version), platforms=platforms, output=output)
    assert caught.value.code == "release-unknown"
    assert not output.exists()


def test_a_repository_that_lost_a_package_gives_no_bundle(vendor: Vendor, tmp_path: Path) -> None:
    target = vendor.release("1.0.0")
    (vendor.repository.targets / target.download_name).unlink()
    with pytest.raises(Missing):
        vendor.bundle("1.0.0")


# --- reading


def test_a_bundle_brings_metadata_and_packages(vendor: Vendor, cache: Path) -> None:
    target = vendor.release("1.0.0")
    verified = verify(vendor, vendor.bundle("1.0.0"), cache)
    assert (verified.older, verified.packages) == (False, (target,))


def test_only_packages_the_bundle_holds_are_named(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    target = vendor.release("1.1.0")
    verified = verify(vendor, vendor.bundle("1.1.0"), cache)
    assert verified.packages == (target,)
    assert len(verified.view.targets) == 2


def test_a_package_is_copied_and_verified(vendor: Vendor, cache: Path) -> None:
    target = vendor.release("1.0.0")
    with open_bundle(vendor.bundle("1.0.0")) as bundle, (cache.parent / "part").open("w+b") as part:
        bundle.copy(target, part)
    assert (cache.parent / "part").read_bytes() == vendor.package_bytes(target)


def test_verifying_does_not_change_what_is_trusted(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    verify(vendor, vendor.bundle("1.0.0"), cache)
    assert contents(cache) == {}


def test_version_txt_is_never_trusted(vendor: Vendor, cache: Path) -> None:
    target = vendor.release("1.0.0")
    path = altered(vendor.bundle("1.0.0"), lambda entries: entries.update({"Version.txt": b"Version: 9.9.9"}))
    assert verify(vendor, path, cache).packages == (target,)


def test_a_bundle_without_version_txt_is_as_good(vendor: Vendor, cache: Path) -> None:
    target = vendor.release("1.0.0")
    path = altered(vendor.bundle("1.0.0"), lambda entries: entries.__delitem__("Version.txt"))
    with open_bundle(path) as bundle:
        assert bundle.version_txt() == ""
    assert verify(vendor, path, cache).packages == (target,)


def test_a_version_txt_of_unlimited_size_is_not_read(vendor: Vendor) -> None:
    vendor.release("1.0.0")
    path = altered(vendor.bundle("1.0.0"), lambda entries: entries.update({"Version.txt": b"x" * 70_000}))
    with open_bundle(path) as bundle, pytest.raises(ArchiveRefused):
        bundle.version_txt()


def test_only_names_that_verified_metadata_leads_to_are_opened(
    vendor: Vendor, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.release("1.0.0")
    stray = {
        "metadata/evil.json": b"{}",
        "targets/evil.zip": b"x",
        "evil.sh": b"x",
        "metadata/9.root.json": b"{}",
    }
    path = altered(vendor.bundle("1.0.0"), lambda entries: entries.update(stray))
    opened: list[str] = []
    honest, honest_pieces = Archive.open, Archive.pieces

    def noted(archive: Archive, entry: Entry) -> BinaryIO:
        opened.append(entry.name)
        return honest(archive, entry)

    def noted_pieces(archive: Archive, entry: Entry, *, piece_bytes: int) -> Iterator[bytes]:
        opened.append(entry.name)
        return honest_pieces(archive, entry, piece_bytes=piece_bytes)

    monkeypatch.setattr(Archive, "open", noted)
    monkeypatch.setattr(Archive, "pieces", noted_pieces)
    verify(vendor, path, cache)
    assert not set(opened) & set(stray)
    assert opened


# --- bad ones


def test_a_package_given_in_place_of_a_bundle_is_told_apart(vendor: Vendor) -> None:
    with (
        pytest.raises(ArchiveRefused, match="this is a package, not a bundle") as caught,
        open_bundle(vendor.package("1.0.0")),
    ):
        pass
    assert caught.value.code == "bundle-is-package"


def test_a_bundle_that_is_no_zip_is_refused(vendor: Vendor, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(b"<html>" * 1000)
    assert refusal(vendor, path, cache).code == "archive-not-zip"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_bundle_is_refused(vendor: Vendor, cache: Path, share: float) -> None:
    vendor.release("1.0.0")
    path = vendor.bundle("1.0.0")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert isinstance(refusal(vendor, path, cache), ArchiveRefused)


def test_a_bundle_of_a_stranger_is_refused(vendor: Vendor, tmp_path: Path, cache: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    refused = refusal(vendor, stranger.bundle("1.0.0"), cache)
    assert (refused.code, "a bundle of another vendor" in refused.message) == ("metadata-signature", True)


def test_an_altered_bundle_is_not_taken_for_another_vendors(vendor: Vendor, cache: Path) -> None:
    def forge(entries: dict[str, bytes]) -> None:
        timestamp = json.loads(entries["metadata/timestamp.json"])
        timestamp["signatures"][0]["sig"] = "00" * 64
        entries["metadata/timestamp.json"] = json.dumps(timestamp).encode()

    vendor.release("1.0.0")
    refused = refusal(vendor, altered(vendor.bundle("1.0.0"), forge), cache)
    assert (refused.code, "another vendor" in refused.message) == ("metadata-signature", False)


def test_an_unsigned_bundle_is_refused(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")

    def unsign(entries: dict[str, bytes]) -> None:
        values = json.loads(entries["metadata/timestamp.json"])
        entries["metadata/timestamp.json"] = json.dumps({**values, "signatures": []}).encode()

    assert refusal(vendor, altered(vendor.bundle("1.0.0"), unsign), cache).code == "metadata-signature"


def test_a_bundle_without_metadata_is_refused(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")

    def strip(entries: dict[str, bytes]) -> None:
        for name in [name for name in entries if name.startswith("metadata/")]:
            del entries[name]

    assert refusal(vendor, altered(vendor.bundle("1.0.0"), strip), cache).code == "metadata-missing"


def test_a_bundle_whose_metadata_has_expired_is_refused(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    path = vendor.bundle("1.0.0")
    vendor.tick(days=4 * 365)
    assert refusal(vendor, path, cache).code == "metadata-expired"


@pytest.mark.parametrize("other", [b"other bytes", b""])
def test_a_package_with_other_bytes_than_signed_is_refused(vendor: Vendor, cache: Path, other: bytes) -> None:
    target = vendor.release("1.0.0")
    name = f"targets/{target.download_name}"
    path = altered(vendor.bundle("1.0.0"), lambda entries: entries.update({name: other}))
    with open_bundle(path) as bundle, pytest.raises(ContentMismatch) as caught:
        bundle.copy(target, io.BytesIO())
    assert caught.value.code == "content-mismatch"


def test_a_package_longer_than_signed_is_not_copied(vendor: Vendor) -> None:
    target = vendor.release("1.0.0")
    name = f"targets/{target.download_name}"
    path = altered(vendor.bundle("1.0.0"), lambda entries: entries.update({name: entries[name] + b"more"}))
    copied = io.BytesIO()
    with open_bundle(path) as bundle, pytest.raises(PackagesError) as caught:
        bundle.copy(target, copied)
    assert (caught.value.code, copied.getvalue()) == ("too-large", b"")


# --- older bundles


def trust(vendor: Vendor, cache: Path) -> Seen:
    view = vendor.view(cache)
    MetadataCache(cache).keep(view.files)
    return view.seen


def test_an_older_bundle_adds_no_metadata_and_says_so(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    old = vendor.bundle("1.0.0")
    vendor.release("1.1.0")
    seen = trust(vendor, cache)
    verified = verify(vendor, old, cache, seen=seen)
    assert verified.older is True
    assert verified.view.timestamp_version == seen.timestamp_version


def test_the_packages_of_an_older_bundle_are_taken_by_the_trusted_metadata(
    vendor: Vendor, cache: Path
) -> None:
    vendor.release("1.0.0")
    old = vendor.bundle("1.0.0")
    changed = vendor.change("1.0.0", ReleaseChange(withdrawn=True))
    verified = verify(vendor, old, cache, seen=trust(vendor, cache))
    assert verified.packages == (changed,)
    assert verified.packages[0].withdrawn is True


def test_a_package_the_trusted_metadata_does_not_list_is_not_taken_from_an_older_bundle(
    vendor: Vendor, tmp_path: Path, cache: Path
) -> None:
    """Same keys, same product, but never in the repository that is trusted: a fork is no release."""
    vendor.release("1.0.0")
    fork = vendor.bundle("1.0.0")
    other = Vendor(tmp_path, name="other")
    other.release("2.0.0")
    other.release("2.1.0")
    seen = trust(other, cache)
    path = altered(other.bundle("2.0.0"), lambda entries: entries.update(strays(fork)))
    assert [target.version.text for target in verify(other, path, cache, seen=seen).packages] == ["2.0.0"]


def strays(path: Path) -> dict[str, bytes]:
    with open_archive(path) as archive:
        return {
            entry.name: archive.read(entry.name, max_bytes=10**7)
            for entry in archive.entries
            if entry.name.startswith("targets/")
        }


def test_the_same_bundle_again_is_as_good_as_before(vendor: Vendor, cache: Path) -> None:
    target = vendor.release("1.0.0")
    path = vendor.bundle("1.0.0")
    seen = trust(vendor, cache)
    before = contents(cache)
    verified = verify(vendor, path, cache, seen=seen)
    assert (verified.older, verified.packages) == (False, (target,))
    MetadataCache(cache).keep(verified.view.files)
    assert contents(cache) == before


def test_an_older_bundle_without_a_cache_is_refused(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    old = vendor.bundle("1.0.0")
    vendor.release("1.1.0")
    with pytest.raises(MetadataRefused) as caught:
        verify(vendor, old, cache / "empty", seen=trust(vendor, cache))
    assert caught.value.code == "metadata-missing"


@pytest.mark.parametrize("role", ["online", "targets", PRODUCT])
def test_a_bundle_of_before_new_keys_is_an_older_one(vendor: Vendor, cache: Path, role: str) -> None:
    target = vendor.release("1.0.0")
    old = vendor.bundle("1.0.0")
    rotate(vendor, role)
    seen = trust(vendor, cache)
    verified = verify(vendor, old, cache, seen=seen)
    assert (verified.older, verified.packages) == (True, (target,))
    assert [path.name for path in cache.iterdir()] == ["metadata"]


def test_a_strangers_bundle_is_no_older_one_after_new_keys(
    vendor: Vendor, tmp_path: Path, cache: Path
) -> None:
    rotate(vendor, "online")
    seen = trust(vendor, cache)
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    with pytest.raises(MetadataRefused) as caught:
        verify(vendor, stranger.bundle("1.0.0"), cache, seen=seen)
    assert caught.value.code == "metadata-signature"
