"""The verified view: what is let in, what is kept out."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from tuf.api.metadata import MetaFile, TargetFile, Targets

from engineshed_packages.errors import MetadataRefused, PackagesError
from engineshed_packages.metadata import ISSUED_FIELD, open_view, trusted_view, verify_view
from engineshed_packages.repository.releases import ReleaseTerms
from engineshed_packages.repository.signing import Online, Signer
from engineshed_packages.sources import HttpSource
from engineshed_packages.transport import HttpClient
from engineshed_packages.versions import Version
from tests.faulty_http import FaultyServer
from tests.packages.forgery import (
    contents,
    metadata_file,
    publish,
    refused,
    rewrite,
    sign_timestamp,
)
from tests.vendor import PRODUCT, Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# --- what is let in


def test_a_view_lists_the_packages_of_all_products_without_naming_a_role(tmp_path: Path, cache: Path) -> None:
    vendor = Vendor(tmp_path, products=("alpha", "beta"))
    vendor.release("1.0.0", product="alpha", platforms=("linux-x86_64", "windows-x86_64"))
    vendor.release("2.0.0", product="beta")
    assert sorted(target.path for target in vendor.view(cache).targets) == [
        "alpha/1.0.0/alpha-1.0.0-linux-x86_64.zip",
        "alpha/1.0.0/alpha-1.0.0-windows-x86_64.zip",
        "beta/2.0.0/beta-2.0.0-any.zip",
    ]


def test_a_view_finds_a_package_by_its_path(vendor: Vendor, cache: Path) -> None:
    target = vendor.release("1.0.0")
    view = vendor.view(cache)
    assert view.find(target.path) == target
    assert view.find("sample-engine/9.9.9/none.zip") is None


def test_a_view_is_the_same_over_http_and_from_a_bundle(vendor: Vendor, tmp_path: Path) -> None:
    vendor.release("1.0.0")
    with FaultyServer() as server, HttpClient() as client:
        server.mount("/repo/v1/vendor", vendor.repository.folder)
        source = HttpSource(client, server.url + "/repo/v1/vendor")
        over_http = open_view(source, cache=tmp_path / "a", trusted_root=vendor.root, now=vendor.now)
    assert over_http == vendor.view(tmp_path / "b")


def test_the_floor_is_the_highest_of_all_releases(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    vendor.release("1.1.0", terms=ReleaseTerms(floor=Version.parse("1.0.0")))
    vendor.release("1.2.0", terms=ReleaseTerms(floor=Version.parse("0.9")))
    view = vendor.view(cache)
    assert view.floor(PRODUCT) == Version.parse("1.0.0")
    assert view.floor("other") is None


def test_the_roles_lives_are_shown(vendor: Vendor, cache: Path) -> None:
    names = {role.name for role in vendor.view(cache).roles}
    assert names == {"root", "timestamp", "snapshot", "targets", PRODUCT}


def test_the_issued_date_is_the_one_the_timestamp_carries(vendor: Vendor, cache: Path) -> None:
    vendor.refresh()
    assert vendor.view(cache).issued == vendor.now


def test_notes_are_listed_apart_from_packages(vendor: Vendor, cache: Path) -> None:
    notes = vendor.notes()
    target = vendor.release("1.0.0", terms=ReleaseTerms(notes=notes))
    view = vendor.view(cache)
    assert [found.path for found in view.targets] == [target.path]
    assert target.notes is not None
    assert view.notes[target.notes].length_bytes == len(notes.read_bytes())


def test_the_files_of_a_view_are_what_the_vendor_published_the_timestamp_last(
    vendor: Vendor, cache: Path
) -> None:
    vendor.release("1.0.0")
    files = vendor.view(cache).files
    assert [file.name for file in files][-1] == "timestamp.json"
    assert all(metadata_file(vendor, file.name).read_bytes() == file.data for file in files)
    assert contents(cache / "metadata") == {file.name: file.data for file in files}


def test_a_second_view_writes_nothing_new(vendor: Vendor, cache: Path) -> None:
    vendor.view(cache)
    before = {path: path.stat().st_ino for path in cache.rglob("*")}
    vendor.view(cache)
    assert {path: path.stat().st_ino for path in cache.rglob("*")} == before


def test_what_a_newer_set_replaces_is_dropped_from_the_cache(vendor: Vendor, cache: Path) -> None:
    vendor.view(cache)
    vendor.release("1.0.0")
    vendor.view(cache)
    names = sorted(path.name for path in (cache / "metadata").iterdir())
    assert names == [
        "1.root.json",
        "1.targets.json",
        f"2.{PRODUCT}.json",
        "2.snapshot.json",
        "timestamp.json",
    ]


def test_only_the_files_of_the_cache_lie_in_it(vendor: Vendor, cache: Path) -> None:
    vendor.view(cache)
    assert [path.name for path in cache.iterdir()] == ["metadata"]


def test_a_scratch_folder_left_by_a_kill_is_swept(vendor: Vendor, cache: Path) -> None:
    left = cache / "scratch-killed"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    vendor.view(cache)
    assert not left.exists()


def test_the_systems_temp_folder_is_not_used(
    vendor: Vendor, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    assert vendor.view(cache).timestamp_version == 1


def test_a_trusted_view_needs_no_source(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    view = vendor.view(cache)
    shutil.rmtree(vendor.repository.folder)
    assert trusted_view(cache=cache, trusted_root=vendor.root, now=vendor.now) == view


def test_nothing_is_trusted_before_the_first_view(vendor: Vendor, cache: Path) -> None:
    with pytest.raises(MetadataRefused) as caught:
        trusted_view(cache=cache, trusted_root=vendor.root, now=vendor.now)
    assert caught.value.code == "metadata-missing"


def test_a_newer_root_is_followed_from_the_embedded_one(vendor: Vendor, cache: Path) -> None:
    vendor.refresh("root")
    vendor.refresh("root")
    view = vendor.view(cache)
    assert view.root_version == 3
    assert [file.name for file in view.files][:3] == ["1.root.json", "2.root.json", "3.root.json"]


def test_verifying_alone_changes_no_cache(vendor: Vendor, cache: Path) -> None:
    verify_view(vendor.source, cache=cache, trusted_root=vendor.root, now=vendor.now)
    assert contents(cache) == {}


# --- what is kept out


def test_a_timestamp_without_signature_is_refused(vendor: Vendor, cache: Path) -> None:
    rewrite(metadata_file(vendor, "timestamp.json"), lambda values: values.update(signatures=[]))
    assert refused(vendor, cache).code == "metadata-signature"


def test_a_timestamp_changed_after_signing_is_refused(vendor: Vendor, cache: Path) -> None:
    def change(values: dict[str, object]) -> None:
        signed = values["signed"]
        assert isinstance(signed, dict)
        signed["version"] = 99

    rewrite(metadata_file(vendor, "timestamp.json"), change)
    assert refused(vendor, cache).code == "metadata-signature"


def test_a_repository_of_a_stranger_is_refused(vendor: Vendor, tmp_path: Path, cache: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    assert refused(vendor, cache, source=stranger.source).code == "metadata-signature"


def test_a_strangers_next_root_is_refused(vendor: Vendor, tmp_path: Path, cache: Path) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.refresh("root")
    shutil.copy(metadata_file(stranger, "2.root.json"), vendor.repository.metadata)
    assert refused(vendor, cache).code == "metadata-signature"


def test_a_strangers_root_in_the_cache_is_not_where_trust_begins(
    vendor: Vendor, tmp_path: Path, cache: Path
) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("6.6.6")
    stranger.view(cache)
    assert vendor.view(cache).targets == ()


def test_a_product_role_changed_after_signing_is_refused(vendor: Vendor, cache: Path) -> None:
    vendor.release("1.0.0")
    path = metadata_file(vendor, f"2.{PRODUCT}.json")
    path.write_bytes(path.read_bytes().replace(b'"optional"', b'"critical"'))
    assert refused(vendor, cache).code == "metadata-signature"


def test_a_product_role_signed_by_a_key_the_targets_role_does_not_name_is_refused(
    vendor: Vendor, tmp_path: Path, cache: Path
) -> None:
    """The online key alone, stolen, cannot make a release."""
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("6.6.6")
    data = metadata_file(stranger, f"2.{PRODUCT}.json").read_bytes()
    published = vendor.repository.published()
    meta = dict(published.snapshot.signed.meta)
    meta[f"{PRODUCT}.json"] = MetaFile.from_data(2, data, ["sha256"])
    metadata_file(vendor, f"2.{PRODUCT}.json").write_bytes(data)
    signer = Signer(vendor.keys, vendor.tick())
    before = Online(snapshot=published.snapshot.signed, timestamp=published.timestamp.signed)
    for file in signer.online_files(published.root, meta, before=before):
        metadata_file(vendor, file.name).write_bytes(file.data)
    assert refused(vendor, cache).code == "metadata-signature"


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.targets.json", f"1.{PRODUCT}.json"])
def test_a_missing_file_is_named(vendor: Vendor, cache: Path, name: str) -> None:
    metadata_file(vendor, name).unlink()
    error = refused(vendor, cache)
    assert error.code == "metadata-missing"
    assert name in error.message


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[]", b'{"signed": {}, "signatures": []}', b"[" * 9000]
)
def test_a_timestamp_that_cannot_be_read_is_refused(vendor: Vendor, cache: Path, data: bytes) -> None:
    metadata_file(vendor, "timestamp.json").write_bytes(data)
    assert refused(vendor, cache).code == "metadata-unreadable"


def test_a_timestamp_of_unlimited_size_is_not_read(vendor: Vendor, cache: Path) -> None:
    metadata_file(vendor, "timestamp.json").write_bytes(b" " * 100_000)
    with pytest.raises(PackagesError) as caught:
        vendor.view(cache)
    assert caught.value.code == "too-large"


@pytest.mark.parametrize("root", [b"", b"{}", b"root"])
def test_a_trusted_root_that_is_none_is_named(vendor: Vendor, cache: Path, root: bytes) -> None:
    assert refused(vendor, cache, trusted_root=root).code == "trusted-root"


def test_an_issued_date_that_is_none_is_refused(vendor: Vendor, cache: Path) -> None:
    sign_timestamp(
        vendor, lambda timestamp: timestamp.unrecognized_fields.update({ISSUED_FIELD: "yesterday"})
    )
    assert refused(vendor, cache).code == "metadata-unreadable"


def test_what_was_refused_leaves_the_cache_as_it_was(vendor: Vendor, cache: Path) -> None:
    vendor.view(cache)
    before = contents(cache)
    vendor.release("1.0.0")
    metadata_file(vendor, f"2.{PRODUCT}.json").write_bytes(b"{}")
    refused(vendor, cache)
    assert contents(cache) == before


def test_a_target_outside_its_roles_paths_counts_for_nothing(tmp_path: Path, cache: Path) -> None:
    """The key of one product cannot release another."""
    vendor = Vendor(tmp_path, products=("alpha", "beta"))
    vendor.release("1.0.0", product="alpha")
    beta = vendor.release("1.0.0", product="beta")
    forged = TargetFile(beta.length_bytes, {"sha256": "0" * 64}, beta.path, {"custom": beta.to_custom()})
    stray = TargetFile(1, {"sha256": "0" * 64}, "gamma/1/x.zip", {"custom": beta.to_custom()})

    def change(alpha: Targets) -> None:
        alpha.targets |= {beta.path: forged, stray.path: stray}

    publish(vendor, change, role="alpha")
    view = vendor.view(cache)
    assert [target.path for target in view.targets if target.product == "beta"] == [beta.path]
    assert view.find(beta.path) == beta
    assert "gamma/1/x.zip" not in view.unusable


def test_a_target_of_tomorrows_format_is_left_out_and_named(vendor: Vendor, cache: Path) -> None:
    today = vendor.release("1.0.0")
    path = f"{PRODUCT}/2.0.0/{PRODUCT}-2.0.0-any.zip"
    custom = {**today.to_custom(), "format": 2}

    def change(role: Targets) -> None:
        role.targets[path] = TargetFile(1, {"sha256": "0" * 64}, path, {"custom": custom})

    publish(vendor, change)
    view = vendor.view(cache)
    assert view.targets == (today,)
    assert "format 2" in view.unusable[path]


@pytest.mark.parametrize("custom", [[], "text", {"format": "1"}, {"format": 1}, {}])
def test_a_target_whose_fields_make_no_sense_is_left_out_and_named(
    vendor: Vendor, cache: Path, custom: object
) -> None:
    path = f"{PRODUCT}/2.0.0/{PRODUCT}-2.0.0-any.zip"

    def change(role: Targets) -> None:
        role.targets[path] = TargetFile(1, {"sha256": "0" * 64}, path, {"custom": custom})

    publish(vendor, change)
    view = vendor.view(cache)
    assert view.targets == ()
    assert path in view.unusable


@pytest.mark.parametrize("hashes", [{"sha512": "0" * 128}, {"sha256": "short"}, {"sha256": "A" * 64}])
def test_notes_without_a_sha256_are_left_out_and_named(
    vendor: Vendor, cache: Path, hashes: dict[str, str]
) -> None:
    path = f"{PRODUCT}/2.0.0/{PRODUCT}-2.0.0-notes.json"

    def change(role: Targets) -> None:
        role.targets[path] = TargetFile(1, hashes, path)

    publish(vendor, change)
    view = vendor.view(cache)
    assert view.notes == {}
    assert path in view.unusable


@pytest.mark.parametrize("name", ["2.0.0/readme.txt", f"2.0/{PRODUCT}-2.0.0-notes.json", "x/x"])
def test_a_file_that_says_nothing_of_itself_and_is_no_notes_is_left_out_and_named(
    vendor: Vendor, cache: Path, name: str
) -> None:
    path = f"{PRODUCT}/{name}"

    def change(role: Targets) -> None:
        role.targets[path] = TargetFile(1, {"sha256": "0" * 64}, path)

    publish(vendor, change)
    view = vendor.view(cache)
    assert view.notes == {}
    assert path in view.unusable
