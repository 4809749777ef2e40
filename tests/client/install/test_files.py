from __future__ import annotations

import os
from pathlib import Path

import pytest

from engineshed_client.fsops import FsOps
from engineshed_client.install.files import find_inside, remove_tree, sha256_no_follow, walk
from engineshed_packages.manifest import MANIFEST_NAME
from tests.client.install.trees_on_disk import content, put, tree


class Listing(FsOps):
    def __init__(self) -> None:
        self.effects: list[str] = []

    def announce(self, effect: str, path: Path) -> None:
        self.effects.append(f"{effect} {path.name}")


def test_a_tree_is_walked_in_order_and_links_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "top", {"b/x": b"", "a": b"", "c": b""})
    (tmp_path / "top/b/link").symlink_to(tmp_path)
    assert [found.relative for found in walk(tmp_path / "top")] == ["a", "b", "b/link", "b/x", "c"]


def test_a_removed_tree_is_gone_and_what_its_links_point_to_is_not(tmp_path: Path) -> None:
    put(tmp_path, {"outside/precious": b"1", "top/x/y": b""})
    (tmp_path / "top/x/link").symlink_to(tmp_path / "outside", target_is_directory=True)
    remove_tree(FsOps(), tmp_path / "top")
    assert content(tmp_path) == {"outside/precious": "1"}


def test_a_link_in_place_of_a_tree_is_removed_itself(tmp_path: Path) -> None:
    put(tmp_path, {"outside/precious": b"1"})
    (tmp_path / "top").symlink_to(tmp_path / "outside", target_is_directory=True)
    remove_tree(FsOps(), tmp_path / "top")
    assert content(tmp_path) == {"outside/precious": "1"}


def test_the_manifest_is_removed_last(tmp_path: Path) -> None:
    tree(tmp_path / "top", "1.0.0", {"AAA": b"", "bin/run": b"", "zzz": b""})
    fs = Listing()
    remove_tree(fs, tmp_path / "top")
    removals = [effect for effect in fs.effects if effect.startswith("remove")]
    assert removals[-2:] == [f"remove {MANIFEST_NAME}", "remove folder top"]


def test_folders_that_forbid_writing_are_removed_as_well(tmp_path: Path) -> None:
    put(tmp_path / "top", {"locked/x": b""})
    (tmp_path / "top/locked").chmod(0o500)
    fs = Listing()
    remove_tree(fs, tmp_path / "top")
    assert "set mode locked" in fs.effects
    assert os.listdir(tmp_path) == []


def test_removing_nothing_is_fine(tmp_path: Path) -> None:
    remove_tree(FsOps(), tmp_path / "absent")


def test_a_link_is_not_read_as_the_file_it_points_to(tmp_path: Path) -> None:
    put(tmp_path, {"file": b"data"})
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="link"):
        sha256_no_follow(tmp_path / "link")


def test_nothing_behind_a_link_or_a_file_is_inside_a_tree(tmp_path: Path) -> None:
    put(tmp_path, {"outside/x": b"", "top/real/x": b"", "top/file": b""})
    (tmp_path / "top/link").symlink_to(tmp_path / "outside", target_is_directory=True)
    top = tmp_path / "top"
    assert find_inside(top, "real/x") is not None
    assert find_inside(top, "link") is not None
    assert [find_inside(top, name) for name in ("link/x", "file/x", "absent/x", "absent")] == [None] * 4
