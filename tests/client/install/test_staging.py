from __future__ import annotations

import os
from pathlib import Path

import pytest

from engineshed_client.errors import Refused
from engineshed_client.fsops import EffectFile, FsOps
from engineshed_client.install.staging import Stage, read_back
from engineshed_client.install.trees import find_tree
from engineshed_packages.archive import Item, open_archive, write_archive
from engineshed_packages.errors import ContentMismatch
from engineshed_packages.manifest import MANIFEST_NAME
from tests.client.install.trees_on_disk import content, manifest_of, put, tree
from tests.conftest import require

FILES = {"bin/run": b"run", "conf/a": b"1", "lib/deep/er/x.jar": b"jar"}


def _package(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """A package whose manifest is that of FILES, holding *files*."""
    path = folder / "package.zip"
    items = [Item.of_bytes(MANIFEST_NAME, manifest_of("1.0.0", FILES).to_bytes())]
    items += [Item.of_bytes(name, data) for name, data in sorted((files or FILES).items())]
    write_archive(path, items)
    return path


def _unpack(fs: FsOps, folder: Path, package: Path, live: Path | None = None) -> None:
    with open_archive(package) as archive:
        Stage(fs, folder / "staged", live).unpack(archive, manifest_of("1.0.0", FILES))


def test_a_package_is_unpacked_whole(tmp_path: Path) -> None:
    _unpack(FsOps(), tmp_path, _package(tmp_path))
    found = find_tree(tmp_path / "staged")
    assert found is not None
    assert found.is_whole()
    assert content(tmp_path / "staged") == {name: data.decode() for name, data in FILES.items()}


def test_every_file_is_synchronised_after_its_last_change(tmp_path: Path) -> None:
    class Listing(FsOps):
        def __init__(self) -> None:
            self.last: dict[str, str] = {}

        def announce(self, effect: str, path: Path) -> None:
            self.last[path.name] = effect

    fs = Listing()
    _unpack(fs, tmp_path, _package(tmp_path))
    assert {fs.last[name] for name in ("run", "a", "x.jar", MANIFEST_NAME)} == {"sync"}
    assert {fs.last[name] for name in ("staged", "bin", "deep", "er")} == {"sync folder"}


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        _unpack(FsOps(), tmp_path, _package(tmp_path))
    finally:
        os.umask(before)
    assert (tmp_path / "staged/bin").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "staged/bin/run").stat().st_mode & 0o777 == 0o644


def test_new_files_take_the_owner_of_the_live_ones(tmp_path: Path) -> None:
    require(os.name == "posix" and os.geteuid() == 0, "only root may give files away")
    live = tree(tmp_path / "engine", "0.9", {"bin/run": b""}).folder
    os.chown(live, 4711, 4711)
    os.chown(live / "bin/run", 4712, 4712)
    _unpack(FsOps(), tmp_path, _package(tmp_path), live)
    owners = {
        name: (tmp_path / "staged" / name).stat().st_uid for name in ("", "bin/run", "lib/deep", "conf/a")
    }
    assert owners == {"": 4711, "bin/run": 4712, "lib/deep": 4711, "conf/a": 4711}


def test_a_file_that_is_a_folder_in_the_live_engine_is_unpacked_all_the_same(tmp_path: Path) -> None:
    live = tree(tmp_path / "engine", "0.9", {"lib": b"a file once"}).folder
    _unpack(FsOps(), tmp_path, _package(tmp_path), live)
    assert (tmp_path / "staged/lib/deep/er/x.jar").read_bytes() == b"jar"


def test_content_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentMismatch) as raised:
        _unpack(FsOps(), tmp_path, _package(tmp_path, {**FILES, "bin/run": b"rux"}))
    assert raised.value.code == "content-sha256"


def test_what_the_disk_changed_is_found_when_it_is_read_back(tmp_path: Path) -> None:
    class Flipping(FsOps):
        def sync(self, file: EffectFile) -> None:
            super().sync(file)
            if file.path.name == "run":
                file.path.write_bytes(b"rux")

    _unpack(Flipping(), tmp_path, _package(tmp_path))
    with pytest.raises(ContentMismatch) as raised:
        read_back(tmp_path / "staged", manifest_of("1.0.0", FILES).files)
    assert raised.value.code == "staged-differs"


def test_another_mode_is_found_when_it_is_read_back(tmp_path: Path) -> None:
    _unpack(FsOps(), tmp_path, _package(tmp_path))
    (tmp_path / "staged/bin/run").chmod(0o777)
    with pytest.raises(ContentMismatch):
        read_back(tmp_path / "staged", manifest_of("1.0.0", FILES).files)


def test_a_kept_version_is_copied_without_what_is_the_customers(tmp_path: Path) -> None:
    kept = tree(tmp_path / "engine_20261120", "1.0.0", FILES)
    put(kept.folder, {"conf/old": b"old", "logs/a.log": b"old", "own": b"old"})
    Stage(FsOps(), tmp_path / "staged", None).copy_version(kept)
    assert content(tmp_path / "staged") == {"bin/run": "run", "lib/deep/er/x.jar": "jar"}
    found = find_tree(tmp_path / "staged")
    assert found is not None
    assert found.is_whole()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "staged").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "staged/lib").symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(Refused) as raised:
        Stage(FsOps(), tmp_path / "staged", None).make_folder("lib/deep")
    assert raised.value.code == "link-in-the-way"
    assert os.listdir(tmp_path / "outside") == []
