"""Packages and trees that are what their manifest says, and those that are not."""

import dataclasses
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engineshed_packages.archive import Item, open_archive, write_archive
from engineshed_packages.errors import ArchiveRefused, ContentMismatch, ManifestRefused
from engineshed_packages.manifest import (
    MANIFEST_NAME,
    Manifest,
    check_contents,
    check_package,
    read_manifest,
    verify_tree,
)
from engineshed_packages.target import Target, target_path
from engineshed_packages.versions import Version
from tests.packages.manifests import FILES, MANIFEST


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(ManifestRefused) as caught:
        action()
    return caught.value.code


def package(path: Path, manifest: Manifest = MANIFEST) -> Path:
    items = [Item.of_bytes(name, data, mode=mode) for name, (data, mode) in FILES.items()]
    write_archive(path, [Item.of_bytes(MANIFEST_NAME, manifest.to_bytes()), *items])
    return path


def target(manifest: Manifest = MANIFEST) -> Target:
    return Target(
        path=target_path("sample-engine", Version("3.4.0"), "any"),
        length_bytes=1,
        sha256="ab" * 32,
        product="sample-engine",
        version=Version("3.4.0"),
        platform="any",
        manifest_sha256=manifest.sha256,
        disk_bytes=manifest.disk_bytes,
        published=datetime(2026, 11, 22, tzinfo=UTC),
    )


# Packages


def test_a_package_that_was_signed_is_accepted(tmp_path: Path) -> None:
    with open_archive(package(tmp_path / "a.zip")) as archive:
        assert check_package(archive, target()) == MANIFEST


def test_a_package_with_another_manifest_than_signed_is_refused(tmp_path: Path) -> None:
    other = dataclasses.replace(MANIFEST, logs=())
    with open_archive(package(tmp_path / "a.zip", other)) as archive:
        assert code_of(lambda: check_package(archive, target())) == "package-mismatch"


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(MANIFEST, product="other-engine"),
        dataclasses.replace(MANIFEST, version=Version("3.5.0")),
        dataclasses.replace(MANIFEST, version=Version("3.4")),
        dataclasses.replace(MANIFEST, platform="linux-x86_64"),
    ],
    ids=["product", "version", "spelling of the version", "platform"],
)
def test_another_product_version_or_platform_inside_than_signed_is_refused(
    tmp_path: Path, other: Manifest
) -> None:
    signed = dataclasses.replace(target(), manifest_sha256=other.sha256)
    with open_archive(package(tmp_path / "a.zip", other)) as archive:
        assert code_of(lambda: check_package(archive, signed)) == "package-mismatch"


def without(items: list[Item], name: str) -> list[Item]:
    return [item for item in items if item.name != name]


LISTED = [Item.of_bytes(name, data, mode=mode) for name, (data, mode) in FILES.items()]
MANIFEST_ITEM = Item.of_bytes(MANIFEST_NAME, MANIFEST.to_bytes())
NOT_AS_LISTED = {
    "no manifest": LISTED,
    "manifest not first": [*LISTED, MANIFEST_ITEM],
    "nothing": [],
    "a file missing": [MANIFEST_ITEM, *without(LISTED, "lib/a.jar")],
    "a file too many": [MANIFEST_ITEM, *LISTED, Item.of_bytes("lib/b.jar", b"")],
    "another size": [MANIFEST_ITEM, *without(LISTED, "lib/a.jar"), Item.of_bytes("lib/a.jar", b"longer")],
    "another mode": [
        MANIFEST_ITEM,
        *without(LISTED, "lib/a.jar"),
        Item.of_bytes("lib/a.jar", b"jar", mode=0o755),
    ],
}


@pytest.mark.parametrize("items", NOT_AS_LISTED.values(), ids=NOT_AS_LISTED)
def test_entries_that_are_not_the_files_of_the_manifest_are_refused(
    tmp_path: Path, items: list[Item]
) -> None:
    write_archive(tmp_path / "a.zip", items)
    with open_archive(tmp_path / "a.zip") as archive:
        assert code_of(lambda: read_manifest(archive)) == "package-mismatch"


def test_contents_that_are_the_manifests_are_accepted(tmp_path: Path) -> None:
    with open_archive(package(tmp_path / "a.zip")) as archive:
        check_contents(archive, MANIFEST)


def test_a_content_of_the_same_length_that_is_another_is_refused(tmp_path: Path) -> None:
    items = [MANIFEST_ITEM, *without(LISTED, "lib/a.jar"), Item.of_bytes("lib/a.jar", b"rat")]
    write_archive(tmp_path / "a.zip", items)
    with open_archive(tmp_path / "a.zip") as archive, pytest.raises(ContentMismatch) as caught:
        check_contents(archive, read_manifest(archive))
    assert caught.value.code == "content-sha256"
    assert "lib/a.jar" in str(caught.value)


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path / "a.zip")
    path.write_bytes(path.read_bytes().replace(b'"shipped"', b'"Shipped"', 1))
    with open_archive(path) as archive, pytest.raises(ArchiveRefused) as caught:
        read_manifest(archive)
    assert caught.value.code == "archive-corrupt"


# Trees


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, (data, _) in FILES.items():
        path = tmp_path / "engine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "engine"


def test_a_whole_tree_has_no_problems(tree: Path) -> None:
    assert verify_tree(tree, MANIFEST) == []


def test_kept_runtime_and_unlisted_files_are_not_looked_at(tree: Path) -> None:
    (tree / "conf/engine.toml").write_bytes(b"edited")
    (tree / "logs/keep").unlink()
    (tree / "mine.txt").write_bytes(b"mine")
    assert verify_tree(tree, MANIFEST) == []


def test_a_missing_file_is_a_problem(tree: Path) -> None:
    (tree / "lib/a.jar").unlink()
    assert verify_tree(tree, MANIFEST) == ["lib/a.jar: missing"]


def test_a_missing_folder_is_a_problem_for_each_of_its_files(tree: Path) -> None:
    (tree / "lib/a.jar").unlink()
    (tree / "lib").rmdir()
    (tree / "lib").write_bytes(b"a file where a folder was")
    assert verify_tree(tree, MANIFEST) == ["lib/a.jar: missing"]


def test_a_tree_that_is_not_there_misses_everything(tmp_path: Path) -> None:
    assert len(verify_tree(tmp_path / "absent", MANIFEST)) == 2


def test_a_longer_file_is_a_problem(tree: Path) -> None:
    (tree / "lib/a.jar").write_bytes(b"longer")
    assert verify_tree(tree, MANIFEST) == ["lib/a.jar: 6 bytes, expected 3"]


def test_a_file_of_nuls_is_a_problem(tree: Path) -> None:
    # What a power cut leaves after a rename without fsync: the right length, no content.
    (tree / "lib/a.jar").write_bytes(b"\0\0\0")
    (problem,) = verify_tree(tree, MANIFEST)
    assert problem.startswith("lib/a.jar: content differs")


def test_a_link_in_the_place_of_a_file_is_a_problem(tree: Path) -> None:
    os.rename(tree / "lib/a.jar", tree / "elsewhere")
    (tree / "lib/a.jar").symlink_to(tree / "elsewhere")
    assert verify_tree(tree, MANIFEST) == ["lib/a.jar: no regular file"]
