"""The customer's part of the new engine: copied from the stopped live one, never moved, then compared.

The live engine is only read. Running this twice gives the same tree as once; an interrupted run leaves a
staged tree that is thrown away.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

from engineshed_client.errors import DiskTrouble
from engineshed_client.fsops import FsOps, find_stat, is_folder
from engineshed_client.install.files import (
    Found,
    Shape,
    copy_file,
    copy_link,
    find_inside,
    remove_tree,
    sha256_no_follow,
    shape_of,
    take_looks,
    walk,
)
from engineshed_client.install.plan import Aside, Item, Plan
from engineshed_client.install.staging import Stage
from engineshed_packages.manifest import FileClass


def carry(fs: FsOps, plan: Plan, staged: Path, live: Path | None) -> None:
    """Do what *plan* says in the tree *staged*, durably, and compare the kept files.

    Args:
        live: the engine the plan was made from; None for a first installation.

    Raises:
        Refused: code ``link-in-the-way``.
        DiskTrouble: code ``kept-differs``: a copy is not what was copied.
        OSError: from the disk.
    """
    stage = Stage(fs, staged, live)
    for path in plan.removed:
        # Never through a link that an earlier run put above it.
        if find_inside(staged, path) is not None:
            fs.remove_file(staged / path)
    for one in plan.aside:
        _put_aside(fs, stage, one)
    for item in plan.items:
        _place(fs, stage, item)
    owner = None if live is None else find_stat(live)
    for item in plan.overlay:
        _place(fs, stage, item, owner)
    if live is not None:
        _dress_shipped(fs, staged, live, carried={item.destination for item in (*plan.items, *plan.overlay)})
        _dress_folders(fs, staged, live)
    stage.sync()
    replaced = {item.destination for item in plan.overlay}
    for item in plan.items:
        if item.file_class is FileClass.KEPT and item.destination not in replaced:
            _compare(item, staged / item.destination)


def _put_aside(fs: FsOps, stage: Stage, aside: Aside) -> None:
    """Rename a default, unless an earlier run has done it."""
    beside = stage.folder / aside.destination
    found = find_inside(stage.folder, aside.destination)
    if found is not None and shape_of(found) is Shape.FILE and sha256_no_follow(beside) == aside.entry.sha256:
        return
    stage.make_folder(aside.destination.rpartition("/")[0])
    fs.replace(stage.folder / aside.entry.path, beside)


def _place(fs: FsOps, stage: Stage, item: Item, owner: os.stat_result | None = None) -> None:
    stage.make_folder(item.destination.rpartition("/")[0])
    path = stage.folder / item.destination
    if item.found.shape is Shape.FOLDER:
        stage.make_folder(item.destination)
        return
    if is_folder(path):
        remove_tree(fs, path)  # empty by now: its defaults were removed or put aside
    if item.found.shape is Shape.LINK:
        copy_link(fs, item.found, path)
    else:
        copy_file(fs, item.found, path, owner)


def _dress_shipped(fs: FsOps, staged: Path, live: Path, *, carried: Collection[str]) -> None:
    """Whom the administrator has let at a shipped file, he has let at the next version of it as well."""
    for one in walk(staged):
        if one.shape is not Shape.FILE or one.relative in carried:
            continue
        status = find_inside(live, one.relative)
        if status is None or shape_of(status) is not Shape.FILE:
            continue
        if fs.take_acl(one.path, live / one.relative):
            # The list brings the old mode along; what may be executed is the vendor's word.
            fs.set_mode(one.path, stat.S_IMODE(one.status.st_mode))


def _dress_folders(fs: FsOps, staged: Path, live: Path) -> None:
    """Folders look as the live ones of the same name; last, because they may forbid writing."""
    names = ["", *(one.relative for one in walk(staged) if one.shape is Shape.FOLDER)]
    for name in reversed(names):
        status = find_inside(live, name)
        if status is not None and shape_of(status) is Shape.FOLDER:
            take_looks(fs, staged / name, Found(relative=name, path=live / name, status=status))


def _compare(item: Item, copy: Path) -> None:
    """Hold a copy against the kept file it was made from: content, mode, owner."""
    source, made = item.found, os.lstat(copy)
    same = shape_of(made) is source.shape
    if same and source.shape is Shape.FILE:
        same = sha256_no_follow(copy) == sha256_no_follow(source.path) and _looks(made) == _looks(
            source.status
        )
    elif same and source.shape is Shape.LINK:
        same = os.readlink(copy) == os.readlink(source.path)
    if not same:
        raise DiskTrouble(
            "kept-differs",
            f"{copy} differs from {source.path}, its source: something writes there, or the disk is faulty",
        )


def _looks(status: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
