"""Engine trees on disk, made from a few words.

tree(folder, "1.0.0", {"bin/run": b"…"})        writes the files and their manifest
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from engineshed_client.install.trees import Tree, find_tree
from engineshed_packages.manifest import (
    MANIFEST_NAME,
    FileClass,
    FileEntry,
    Manifest,
    ProbeSpec,
    StartSpec,
    matches,
)
from engineshed_packages.versions import Version

KEPT = ("conf/", "ext/lib/", "*.config")
RUNTIME = ("logs/", "data/")


def manifest_of(version: str, files: Mapping[str, bytes]) -> Manifest:
    """The manifest a vendor would build from *files*."""
    return Manifest(
        product="sample-engine",
        version=Version.parse(version),
        platform="any",
        files=tuple(
            FileEntry(
                path=path,
                sha256=hashlib.sha256(data).hexdigest(),
                size_bytes=len(data),
                mode=0o644,
                file_class=_class_of(path),
            )
            for path, data in sorted(files.items())
        ),
        start=StartSpec(command=("run",)),
        probe=ProbeSpec(tcp="127.0.0.1:1"),
        kept=KEPT,
        runtime=RUNTIME,
        logs=("logs/*.log",),
    )


def _class_of(path: str) -> FileClass:
    if matches(path, KEPT):
        return FileClass.KEPT
    return FileClass.RUNTIME if matches(path, RUNTIME) else FileClass.SHIPPED


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write *files* below *folder*."""
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def tree(folder: Path, version: str, files: Mapping[str, bytes]) -> Tree:
    """An engine with its manifest in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    put(folder, files)
    (folder / MANIFEST_NAME).write_bytes(manifest_of(version, files).to_bytes())
    found = find_tree(folder)
    assert found is not None
    return found


def content(folder: Path) -> dict[str, str]:
    """Every file and link below *folder*, with its content; folders only when they are empty."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink().as_posix()}"
        elif path.is_file():
            found[name] = path.read_bytes().decode()
        elif not any(path.iterdir()):
            found[name + "/"] = ""
    found.pop(MANIFEST_NAME, None)
    return found
