from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from engineshed_client.install.trees import find_tree, free_previous, list_previous, newest_whole_previous
from engineshed_client.journal import MAX_PROBLEMS, Origin
from engineshed_client.paths import Paths
from engineshed_packages.manifest import MANIFEST_NAME, FileClass
from tests.client.install.trees_on_disk import manifest_of, put, tree

FILES = {"bin/run": b"run", "conf/a": b"1", "logs/a.log": b""}


def test_an_engine_is_known_by_the_digest_the_vendor_signed(tmp_path: Path) -> None:
    assert tree(tmp_path, "1.0.0", FILES).manifest_sha256 == manifest_of("1.0.0", FILES).sha256


def test_an_engine_is_whole_whatever_became_of_the_customers_files(tmp_path: Path) -> None:
    found = tree(tmp_path, "1.0.0", FILES)
    put(tmp_path, {"conf/a": b"mine", "logs/a.log": b"lines", "own": b""})
    assert found.is_whole()


@pytest.mark.parametrize("data", [b"rux", b"longer than before"])
def test_an_engine_with_another_shipped_file_is_not_whole(tmp_path: Path, data: bytes) -> None:
    found = tree(tmp_path, "1.0.0", FILES)
    put(tmp_path, {"bin/run": data})
    assert len(found.problems()) == 1


def test_an_engine_without_a_shipped_file_is_not_whole(tmp_path: Path) -> None:
    found = tree(tmp_path, "1.0.0", FILES)
    (tmp_path / "bin/run").unlink()
    assert found.problems() == ("bin/run: missing",)


def test_a_patched_engine_is_known_again_by_its_patches(tmp_path: Path) -> None:
    found = tree(tmp_path, "1.0.0", FILES)
    put(tmp_path, {"bin/run": b"patched"})
    origin = Origin(
        version=found.manifest.version, manifest_sha256=found.manifest_sha256, problems=found.problems()
    )
    assert found.is_as(origin)
    put(tmp_path, {"bin/run": b"damaged later"})
    assert not found.is_as(origin)


def test_problems_are_bounded(tmp_path: Path) -> None:
    found = tree(tmp_path, "1.0.0", {f"lib/{number}": b"" for number in range(50)})
    put(tmp_path, {f"lib/{number}": b"x" for number in range(50)})
    assert len(found.problems()) == MAX_PROBLEMS


def test_what_is_kept_by_the_manual_is_kept_whatever_a_manifest_says(tmp_path: Path) -> None:
    found = tree(tmp_path, "1.0.0", FILES)
    assert found.manifest.classify("ext/lib/any.jar") is FileClass.KEPT


def test_what_the_admin_declares_as_kept_proves_nothing(tmp_path: Path) -> None:
    tree(tmp_path, "1.0.0", FILES)
    put(tmp_path, {"bin/run": b"mine"})
    found = find_tree(tmp_path, ["bin/*"])
    assert found is not None
    assert found.is_whole()
    assert found.manifest_sha256 == manifest_of("1.0.0", FILES).sha256


@pytest.mark.parametrize("data", [b"", b"{}", b"\0" * 100])
def test_a_folder_whose_manifest_cannot_be_read_holds_no_engine(tmp_path: Path, data: bytes) -> None:
    put(tmp_path, {MANIFEST_NAME: data})
    assert find_tree(tmp_path) is None


def test_a_manifest_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    tree(tmp_path / "real", "1.0.0", FILES)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / MANIFEST_NAME).symlink_to(tmp_path / "real" / MANIFEST_NAME)
    assert find_tree(tmp_path / "other") is None


def test_an_absent_folder_holds_no_engine(tmp_path: Path) -> None:
    assert find_tree(tmp_path / "absent") is None


def test_previous_versions_are_listed_newest_first(tmp_path: Path) -> None:
    names = ["engine_20261122_2", "engine_20261122", "engine_20261122_10", "engine_20251231"]
    for name in [*names, "engine", "engine_old", "portal_20261122"]:
        (tmp_path / name).mkdir()
    (tmp_path / "engine_20270101").touch()  # a file is no engine
    found = [path.name for path in list_previous(Paths(tmp_path))]
    assert found == ["engine_20261122_10", "engine_20261122_2", "engine_20261122", "engine_20251231"]


def test_a_name_of_the_day_is_never_given_twice(tmp_path: Path) -> None:
    paths, names = Paths(tmp_path), []
    for _ in range(3):
        path = free_previous(paths, date(2026, 11, 22))
        path.mkdir()
        names.append(path.name)
    assert names == ["engine_20261122", "engine_20261122_2", "engine_20261122_3"]


def test_a_number_that_pruning_made_free_is_not_given_again(tmp_path: Path) -> None:
    (tmp_path / "engine_20261122_9").mkdir()
    assert free_previous(Paths(tmp_path), date(2026, 11, 22)).name == "engine_20261122_10"


def test_a_clock_that_went_back_does_not_make_the_newest_the_oldest(tmp_path: Path) -> None:
    (tmp_path / "engine_20261122").mkdir()
    assert free_previous(Paths(tmp_path), date(2026, 11, 21)).name == "engine_20261122_2"


def test_the_newest_whole_version_is_found_behind_a_damaged_one(tmp_path: Path) -> None:
    tree(tmp_path / "engine_20261120", "1.0.0", FILES)
    tree(tmp_path / "engine_20261121", "1.1.0", FILES)
    tree(tmp_path / "engine_20261122", "1.2.0", FILES)
    (tmp_path / "engine_20261122/bin/run").unlink()
    found = newest_whole_previous(Paths(tmp_path))
    assert found is not None
    assert found.manifest.version.text == "1.1.0"
