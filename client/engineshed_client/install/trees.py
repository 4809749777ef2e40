"""Facts about engines on disk: which one lies in a folder, and whether it is whole.

An engine is known by the digest of its MANIFEST.json and is whole when every shipped file is there with
the size and digest the manifest gives. What the customer keeps is his: patterns that the administrator
named in updater.toml turn shipped files into kept ones, and those are no longer held against the vendor's
digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from engineshed_client.fsops import find_stat, is_folder
from engineshed_client.install.files import Shape, shape_of
from engineshed_client.journal import MAX_PROBLEMS, Origin
from engineshed_client.paths import Paths
from engineshed_packages.errors import PackagesError
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import escape_controls
from engineshed_packages.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    FileClass,
    Manifest,
    matches,
    verify_tree,
)

# The customer's in every engine, whatever a manifest says: the manual's update saves them by hand.
ALWAYS_KEPT = ("conf/", "ext/lib/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """An engine in a folder.

    Attributes:
        manifest: with the administrator's patterns applied. manifest_sha256: of the file as it lies there.
    """

    folder: Path
    manifest: Manifest
    manifest_sha256: str

    def problems(self) -> tuple[str, ...]:
        """What is wrong with its shipped files (all are read), at most ``MAX_PROBLEMS``; () when whole.

        Raises:
            OSError: a file cannot be read.
        """
        found = verify_tree(self.folder, self.manifest)[:MAX_PROBLEMS]
        return tuple(escape_controls(problem)[:300] for problem in found)

    def is_whole(self) -> bool:
        """True when every shipped file is as the manifest says."""
        return not self.problems()

    def is_as(self, origin: Origin) -> bool:
        """True when it is exactly the engine that *origin* describes, patches of the customer included."""
        return self.manifest_sha256 == origin.manifest_sha256 and self.problems() == origin.problems


def find_tree(folder: Path, kept: Iterable[str] = ()) -> Tree | None:
    """The engine in *folder*; None when there is no folder, or none whose manifest can be read.

    Args:
        kept: the administrator's further patterns of kept files.

    Raises:
        OSError: what is there cannot be told.
    """
    status = find_stat(folder / MANIFEST_NAME) if is_folder(folder) else None
    if status is None or shape_of(status) is not Shape.FILE:
        return None
    try:
        data = read_limited(folder / MANIFEST_NAME, MAX_MANIFEST_BYTES)
        manifest = Manifest.from_bytes(data)
    except PackagesError as err:
        if isinstance(err.__cause__, OSError):
            raise err.__cause__ from err  # not readable is not the same as not there
        return None
    # The manifest has one form in bytes only, so these are the bytes whose digest was signed.
    sha256 = hashlib.sha256(data).hexdigest()
    return Tree(folder=folder, manifest=with_kept(manifest, kept), manifest_sha256=sha256)


def with_kept(manifest: Manifest, kept: Iterable[str]) -> Manifest:
    """*manifest* with what *kept* names, and what is always kept, as the customer's."""
    patterns = (*manifest.kept, *ALWAYS_KEPT, *kept)
    files = tuple(
        replace(entry, file_class=FileClass.KEPT) if matches(entry.path, patterns) else entry
        for entry in manifest.files
    )
    return replace(manifest, files=files, kept=patterns)


def list_previous(paths: Paths) -> tuple[Path, ...]:
    """The folders of previous versions, newest first by name.

    Raises:
        OSError: the base cannot be read.
    """
    found = []
    for path in paths.base.iterdir():
        order = paths.previous_order(path.name)
        if order is not None and is_folder(path):
            found.append((order, path))
    return tuple(path for _, path in sorted(found, reverse=True))


def free_previous(paths: Paths, today: date) -> Path:
    """A name for the engine that is about to be left: nothing has it. Same day again: ``_2``, ``_3``, …

    It sorts behind every name that is there: a number that pruning made free is not taken again, and a
    clock that went back does not make the newest the oldest.

    Raises:
        OSError: the base cannot be read.
    """
    taken = [order for path in paths.base.iterdir() if (order := paths.previous_order(path.name)) is not None]
    day, number = max(taken, default=("", 0))
    now = f"{today:%Y%m%d}"
    return paths.previous(now, 1) if day < now else paths.previous(day, number + 1)


def newest_whole_previous(paths: Paths, kept: Iterable[str] = ()) -> Tree | None:
    """The newest previous version that is whole, or None."""
    for folder in list_previous(paths):
        tree = find_tree(folder, kept)
        if tree is not None and tree.is_whole():
            return tree
    return None
