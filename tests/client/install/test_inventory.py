"""Which files of an engine installed long ago are the vendor's, and what differs from its release."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engineshed_client.errors import Refused
from engineshed_client.install import inventory as module
from engineshed_client.install.files import sha256_no_follow
from engineshed_client.install.inventory import (
    ADOPTED,
    Changed,
    Differences,
    Inventory,
    Pattern,
    manifest_of,
    take_inventory,
)
from engineshed_client.install.trees import find_tree
from engineshed_packages.manifest import MANIFEST_NAME, FileClass, Manifest
from engineshed_packages.versions import Version
from tests.client.install import trees_on_disk
from tests.client.install.trees_on_disk import put
from tests.conftest import require

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
RELEASED = {
    "bin/run": b"run",
    "lib/a-1.0.jar": b"a",
    "conf/a": b"default",
    "logs/readme": b"",
    "VERSION": b"1.0.0",
}
CUSTOMERS = {"conf/a": b"mine", "conf/own": b"mine", "logs/engine.log": b"lines", "own/script": b"mine"}
V1 = Version.parse("1.0.0")


def released(version: str = "1.0.0", files: dict[str, bytes] | None = None) -> Manifest:
    return trees_on_disk.manifest_of(version, RELEASED if files is None else files)


def exact(**changes: object) -> Pattern:
    """The release of this very version is known."""
    release = released()
    return replace(Pattern(like=release, release=release, guide=None), **changes)  # type: ignore[arg-type]


def lay(engine: Path, *more: dict[str, bytes]) -> Path:
    for files in (RELEASED, CUSTOMERS, *more):
        put(engine, files)
    for path in engine.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    return engine


def adopt(engine: Path, pattern: Pattern) -> tuple[Inventory, Manifest]:
    found = take_inventory(engine, pattern)
    return found, manifest_of(found, pattern, V1, now=NOW)


def test_an_engine_as_released_gets_the_manifest_of_its_release(tmp_path: Path) -> None:
    found, manifest = adopt(lay(tmp_path), exact())
    assert found.differences(exact()) == Differences(extra=("own/script",))
    assert manifest == released()


def test_what_was_changed_or_is_missing_is_told(tmp_path: Path) -> None:
    lay(tmp_path, {"bin/run": b"patched"})
    (tmp_path / "lib/a-1.0.jar").unlink()
    found, _ = adopt(tmp_path, exact())
    assert found.differences(exact()) == Differences(
        changed=(Changed("bin/run", "7 bytes, released 3"),),
        missing=("lib/a-1.0.jar",),
        extra=("own/script",),
    )


def test_by_its_own_manifest_a_patched_engine_is_whole(tmp_path: Path) -> None:
    lay(tmp_path, {"bin/run": b"patched"})
    (tmp_path / "lib/a-1.0.jar").unlink()
    _, manifest = adopt(tmp_path, exact())
    (tmp_path / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    tree = find_tree(tmp_path)
    assert tree is not None
    assert tree.is_whole()
    assert (tree.manifest.version, tree.manifest.extra) == (V1, {ADOPTED: "2026-11-22T08:00:00Z"})
    assert [entry.path for entry in manifest.shipped()] == ["VERSION", "bin/run"]


def test_of_a_patched_engine_the_customers_files_are_listed_as_they_were_released(tmp_path: Path) -> None:
    _, manifest = adopt(lay(tmp_path, {"bin/run": b"patched"}), exact())
    assert manifest.find("conf/a") == released().find("conf/a")
    assert manifest.find("conf/own") is None


def test_another_mode_is_told_and_kept(tmp_path: Path) -> None:
    require(os.name == "posix", "permission bits")
    lay(tmp_path)
    (tmp_path / "bin/run").chmod(0o750)
    found, manifest = adopt(tmp_path, exact())
    known = found.differences(exact())
    assert known is not None
    assert known.changed == (Changed("bin/run", "mode 0750, released 0644"),)
    entry = manifest.find("bin/run")
    assert entry is not None
    assert entry.mode == 0o750


def test_what_the_administrator_keeps_is_neither_listed_nor_missing(tmp_path: Path) -> None:
    pattern = exact(kept=("lib/", "own/"))
    lay(tmp_path, {"lib/a-1.0.jar": b"patched"})
    found, manifest = adopt(tmp_path, pattern)
    assert found.differences(pattern) == Differences()
    assert manifest == released()


def test_a_link_in_the_place_of_a_file_is_told_and_not_listed(tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / "bin/run").unlink()
    (tmp_path / "bin/run").symlink_to("/bin/true")
    found, manifest = adopt(tmp_path, exact())
    known = found.differences(exact())
    assert known is not None
    assert known.changed == (Changed("bin/run", "no regular file"),)
    assert manifest.find("bin/run") is None


def test_without_its_release_a_near_one_tells_what_is_the_vendors(tmp_path: Path) -> None:
    """Files in folders the vendor ships into are his, as old versions of libraries; others may not be."""
    guide = released("1.1.0", {"bin/run": b"new", "lib/a-1.1.jar": b"a", "VERSION": b"1.1.0", "conf/a": b""})
    pattern = Pattern(like=guide, release=None, guide=guide)
    found, manifest = adopt(lay(tmp_path, {"notes.txt": b"mine"}), pattern)
    assert sorted(found.shipped) == ["VERSION", "bin/run", "lib/a-1.0.jar"]
    assert sorted(found.unlisted) == ["notes.txt", "own/script"]
    assert found.differences(pattern) is None
    assert (manifest.version, manifest.product) == (V1, guide.product)


def test_where_no_release_is_known_all_but_the_customers_is_the_vendors(tmp_path: Path) -> None:
    pattern = Pattern(like=replace(released(), files=()), release=None, guide=None)
    found, _ = adopt(lay(tmp_path), pattern)
    assert sorted(found.shipped) == ["VERSION", "bin/run", "lib/a-1.0.jar", "own/script"]
    assert found.unlisted == ()


def test_a_file_that_is_written_to_meanwhile_is_not_the_vendors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path)

    def while_it_grows(path: Path) -> str:
        if path.name == "run":
            with path.open("ab") as file:
                file.write(b"more")
        return sha256_no_follow(path)

    monkeypatch.setattr("engineshed_client.install.inventory.sha256_no_follow", while_it_grows)
    found = take_inventory(tmp_path, exact())
    assert found.odd == {"bin/run": "written to while it was read"}
    assert "bin/run" not in found.shipped


@pytest.mark.parametrize("name", ["lib/aux.jar", "lib/a:b", "lib/end. "])
def test_a_name_that_means_nothing_elsewhere_goes_along_unlisted(tmp_path: Path, name: str) -> None:
    pattern = Pattern(like=replace(released(), files=()), release=None, guide=None)
    found, _ = adopt(lay(tmp_path, {name: b""}), pattern)
    assert (found.unlisted, list(found.odd)) == ((name,), [name])


def test_names_that_meet_elsewhere_are_refused(tmp_path: Path) -> None:
    pattern = Pattern(like=replace(released(), files=()), release=None, guide=None)
    lay(tmp_path, {"lib/A-1.0.jar": b""})
    with pytest.raises(Refused) as caught:
        adopt(tmp_path, pattern)
    assert caught.value.code == "not-adoptable"


def test_more_files_than_a_manifest_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 2)
    with pytest.raises(Refused) as caught:
        take_inventory(lay(tmp_path), exact())
    assert caught.value.code == "too-many-files"


def test_what_an_interrupted_adoption_left_is_not_the_vendors(tmp_path: Path) -> None:
    pattern = Pattern(like=replace(released(), files=()), release=None, guide=None)
    lay(tmp_path, {f".{MANIFEST_NAME}.tmp": b"half", MANIFEST_NAME: b"half"})
    found = take_inventory(tmp_path, pattern)
    assert sorted(found.shipped) == ["VERSION", "bin/run", "lib/a-1.0.jar", "own/script"]


def test_nothing_is_changed(tmp_path: Path) -> None:
    lay(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    adopt(tmp_path, exact())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_manifest_keeps_the_classes_of_its_release(tmp_path: Path) -> None:
    _, manifest = adopt(lay(tmp_path, {"bin/run": b"patched"}), exact())
    words = [manifest.classify(path) for path in ("bin/run", "conf/own", "logs/engine.log", "own/script")]
    assert words == [FileClass.SHIPPED, FileClass.KEPT, FileClass.RUNTIME, FileClass.UNLISTED]
