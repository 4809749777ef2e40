"""Bundles that must not be taken: each gets its code, and nothing is written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from engineshed_packages.archive import Archive, Item, open_archive, write_archive
from engineshed_packages.manifest import read_manifest
from engineshed_packages.target import Target, target_path
from engineshed_packages.versions import Version
from engineshed_server.db import releases
from engineshed_server.errors import ServerError, TryLater
from tests.server.portals import House
from tests.vendor import Vendor


def contents(archive: Archive) -> dict[str, bytes]:
    return {entry.name: archive.read(entry.name, max_bytes=entry.size_bytes) for entry in archive.entries}


def rewritten(bundle: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The bundle with other entries, as a sound zip."""
    with open_archive(bundle) as archive:
        entries = contents(archive)
    change(entries)
    result = bundle.with_name(f"changed-{bundle.name}")
    write_archive(result, [Item.of_bytes(name, data) for name, data in entries.items()])
    return result


def package_name(entries: dict[str, bytes]) -> str:
    return next(name for name in entries if name.startswith("targets/"))


def refusal(house: House, bundle: Path) -> str:
    """The code of the refusal, once it is sure that nothing was written."""
    before = everything(house)
    with pytest.raises(ServerError) as caught:
        house.ingest_file(bundle)
    assert everything(house) == before
    return caught.value.code


def everything(house: House) -> tuple[object, ...]:
    with house.portal.database.read() as session:
        rows = releases.list_packages(session)
    data = house.portal.folders.data
    files = sorted(
        str(path.relative_to(data))
        for folder in ("blobs", "repo", "trust")
        for path in (data / folder).rglob("*")
        if path.is_file()
    )
    return rows, files, house.audited()


@pytest.fixture
def bundle(house: House) -> Path:
    house.vendor.release("1.0.0")
    return house.vendor.bundle("1.0.0")


def test_what_is_no_zip_is_refused(house: House, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"<html>not a bundle</html>" * 100)
    assert refusal(house, path) == "archive-not-zip"


def test_a_package_in_place_of_a_bundle_is_told_apart(house: House) -> None:
    assert refusal(house, house.vendor.package("1.0.0")) == "bundle-is-package"


def test_an_empty_file_is_refused(house: House, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"")
    assert refusal(house, path).startswith("archive-")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_bundle_is_refused(house: House, bundle: Path, kept: float) -> None:
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * kept)])
    assert refusal(house, bundle).startswith("archive-")


def test_a_strangers_bundle_is_refused(house: House, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    assert refusal(house, stranger.bundle("1.0.0")) == "metadata-signature"


def test_a_bundle_without_signatures_is_refused(house: House, bundle: Path) -> None:
    def unsign(entries: dict[str, bytes]) -> None:
        document = json.loads(entries["metadata/timestamp.json"])
        document["signatures"] = []
        entries["metadata/timestamp.json"] = json.dumps(document).encode()

    assert refusal(house, rewritten(bundle, unsign)) == "metadata-signature"


def test_a_bundle_without_metadata_is_refused(house: House, bundle: Path) -> None:
    def strip(entries: dict[str, bytes]) -> None:
        for name in [name for name in entries if name.startswith("metadata/")]:
            del entries[name]

    assert refusal(house, rewritten(bundle, strip)) == "metadata-missing"


def test_a_package_with_another_digest_than_signed_is_refused(house: House, bundle: Path) -> None:
    def flip(entries: dict[str, bytes]) -> None:
        data = bytearray(entries[package_name(entries)])
        data[len(data) // 2] ^= 1
        entries[package_name(entries)] = bytes(data)

    assert refusal(house, rewritten(bundle, flip)) == "content-mismatch"


def test_of_a_bundle_with_one_damaged_package_the_sound_one_is_not_kept_either(house: House) -> None:
    def flip_last(entries: dict[str, bytes]) -> None:
        name = [name for name in entries if name.startswith("targets/")][-1]
        data = bytearray(entries[name])
        data[len(data) // 2] ^= 1
        entries[name] = bytes(data)

    house.vendor.release("1.0.0", platforms=("linux-x86_64", "windows-x86_64"))
    assert refusal(house, rewritten(house.vendor.bundle("1.0.0"), flip_last)) == "content-mismatch"


def test_a_shorter_package_than_signed_is_refused(house: House, bundle: Path) -> None:
    def cut(entries: dict[str, bytes]) -> None:
        name = package_name(entries)
        entries[name] = entries[name][:-1]

    assert refusal(house, rewritten(bundle, cut)) == "content-mismatch"


def test_a_longer_package_than_signed_is_refused(house: House, bundle: Path) -> None:
    def grow(entries: dict[str, bytes]) -> None:
        name = package_name(entries)
        entries[name] += b"more"

    assert refusal(house, rewritten(bundle, grow)) == "too-large"


def test_a_damaged_bundle_of_a_known_release_is_refused_too(house: House, bundle: Path) -> None:
    def flip(entries: dict[str, bytes]) -> None:
        data = bytearray(entries[package_name(entries)])
        data[len(data) // 2] ^= 1
        entries[package_name(entries)] = bytes(data)

    house.ingest_file(bundle)
    assert refusal(house, rewritten(bundle, flip)) == "content-mismatch"


@pytest.mark.parametrize(
    ("version", "platform", "manifest_sha256"),
    [("2.0.0", "any", None), ("1.0.0", "linux-x86_64", None), ("1.0.0", "any", "0" * 64)],
)
def test_a_signed_package_that_is_another_inside_is_refused(
    house: House, version: str, platform: str, manifest_sha256: str | None
) -> None:
    """Its digest is right: only a look into the package shows what it really is."""
    package = house.vendor.package("1.0.0")
    sign_as(house.vendor, package, version=version, platform=platform, manifest_sha256=manifest_sha256)
    assert refusal(house, house.vendor.bundle(version)) == "package-mismatch"


def sign_as(
    vendor: Vendor, package: Path, *, version: str, platform: str, manifest_sha256: str | None
) -> None:
    """Publish *package* under what it is not, past the vendor's own checks."""
    parsed = Version.parse(version)
    data = package.read_bytes()
    with open_archive(package) as archive:
        inside = read_manifest(archive).sha256
    target = Target(
        path=target_path(vendor.product, parsed, platform),
        length_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        product=vendor.product,
        version=parsed,
        platform=platform,
        manifest_sha256=manifest_sha256 or inside,
        disk_bytes=1,
        published=vendor.now,
    )
    with vendor.repository.draft() as draft:
        role = draft.base.role_for(target.path)
        vendor.repository.add_file(draft, target.download_name, package)
        draft.change(role).targets[target.path] = TargetFile(
            target.length_bytes, {"sha256": target.sha256}, target.path, {"custom": dict(target.to_custom())}
        )
        vendor.repository.publish(draft, vendor.keys, vendor.tick())


def test_what_the_metadata_does_not_list_is_left_out_and_named(house: House, bundle: Path) -> None:
    def add(entries: dict[str, bytes]) -> None:
        entries["targets/stowaway.zip"] = b"never opened"

    done = house.ingest_file(rewritten(bundle, add))
    assert done.code == "published"
    assert done.notices == ("targets/stowaway.zip is not listed by the vendor's metadata and was left out",)


def test_the_root_inside_a_bundle_is_never_the_start_of_trust(house: House, tmp_path: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    code = refusal(house, stranger.bundle("1.0.0"))
    assert code == "metadata-signature"
    assert house.portal.identity.root == house.vendor.root


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
def test_a_full_disk_leaves_nothing_public_and_a_retry_heals(
    house: House, bundle: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "data")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(TryLater) as caught:
        house.ingest_file(bundle)
    monkeypatch.undo()
    assert caught.value.code == "disk-full"
    assert house.portal.metadata.timestamp() is None
    assert house.ingest_file(bundle).code == "published"
