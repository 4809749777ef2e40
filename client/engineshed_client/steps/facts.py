"""What lies where, told by looking: the ground on which an interrupted attempt is decided.

The engine an attempt wants is known by its manifest and by being whole; the one it started from by its
manifest, and where it is to be taken back from elsewhere, also by being exactly as it was before it was
stopped. Everything here may be run again after any interruption.
"""

from __future__ import annotations

import logging
from enum import Enum, auto
from pathlib import Path

from engineshed_client.errors import ClientError, TreeBroken, client_boundary
from engineshed_client.fetch import read_trusted_root
from engineshed_client.fsops import find_stat
from engineshed_client.install.files import remove_tree
from engineshed_client.install.swapping import rename_patiently, set_failed_aside, swap_back
from engineshed_client.install.trees import (
    Tree,
    find_tree,
    free_previous,
    list_previous,
    newest_whole_previous,
)
from engineshed_client.journal import Journal, Origin
from engineshed_client.steps.context import Context
from engineshed_packages.metadata import trusted_view
from engineshed_packages.target import Target

logger = logging.getLogger(__name__)


class Which(Enum):
    """Which engine of an attempt lies in a folder."""

    FROM = auto()  # the one it started from
    TO = auto()  # the one it wants, whole
    OTHER = auto()  # anything else
    NOTHING = auto()


def tree_in(context: Context, folder: Path) -> Tree | None:
    """The engine in *folder* by its manifest, the administrator's patterns applied."""
    return find_tree(folder, context.settings.kept)


def which(context: Context, journal: Journal, folder: Path) -> Which:
    """Which engine of this attempt lies in *folder*; reads all shipped files of the wanted one."""
    if find_stat(folder) is None:
        return Which.NOTHING
    tree = tree_in(context, folder)
    if tree is None:
        return Which.OTHER
    # A repair has the same manifest on both sides: then the whole one is the wanted one.
    if tree.manifest_sha256 == journal.goal.manifest_sha256 and tree.is_whole():
        return Which.TO
    if journal.origin is not None and tree.manifest_sha256 == journal.origin.manifest_sha256:
        return Which.FROM
    return Which.OTHER


def find_signed(context: Context, manifest_sha256: str) -> Target | None:
    """The vendor's target of an engine that is on disk, by the metadata verified here before.

    None when it is not listed, and when the metadata is gone or has expired: nothing can be told then.
    """
    try:
        root, seen = read_trusted_root(context.settings), context.seen.load()
        with client_boundary():
            view = trusted_view(
                cache=context.paths.metadata, trusted_root=root, now=context.now(), seen=seen.metadata
            )
    except ClientError as err:
        logger.info("vendor's metadata not at hand", extra={"code": err.code})
        return None
    return next((one for one in view.targets if one.manifest_sha256 == manifest_sha256), None)


def previous_of(context: Context, journal: Journal) -> Path | None:
    """The folder this attempt moves the old engine to; None before it was chosen."""
    return None if journal.previous is None else context.paths.base / journal.previous


def restore(context: Context, journal: Journal) -> None:
    """Make ``engine/`` the one the attempt started from, exactly as it was; none when there was none.

    The one that failed goes to ``failed/``.

    Raises:
        TreeBroken: code ``old-engine-missing``: it lies nowhere as it was.
        OSError: to be run again.
    """
    paths, fs = context.paths, context.fs
    previous = previous_of(context, journal)
    found = which(context, journal, paths.engine)
    if journal.origin is None:
        if found is not Which.NOTHING:
            set_failed_aside(fs, paths.engine, paths.failed, sleep=context.sleep)
        return
    if found is not Which.FROM:
        places = [place for place in (previous, paths.staged) if place is not None]
        old = next((place for place in places if _is_as_it_was(context, journal.origin, place)), None)
        if old is None:
            raise TreeBroken(
                "old-engine-missing",
                f"{journal.origin.version} lies as it was neither in {paths.engine} nor in "
                f"{' nor in '.join(map(str, places))}: install a bundle to repair the engine",
            )
        swap_back(fs, paths.engine, old, failed=paths.failed, sleep=context.sleep)
    if previous is not None and find_stat(previous) is not None:
        # An exchange was interrupted before its second half: here lies the one that failed.
        set_failed_aside(fs, previous, paths.failed, sleep=context.sleep)


def _is_as_it_was(context: Context, origin: Origin, folder: Path) -> bool:
    tree = tree_in(context, folder)
    return tree is not None and tree.is_as(origin)


def bring_back(context: Context) -> None:
    """When ``engine/`` is missing, rename the newest whole previous version to it."""
    paths = context.paths
    if find_stat(paths.engine) is not None:
        return
    tree = newest_whole_previous(paths, context.settings.kept)
    if tree is not None:
        logger.warning("engine missing, previous version brought back", extra={"folder": tree.folder.name})
        rename_patiently(context.fs, tree.folder, paths.engine, sleep=context.sleep)


def clear_staged(context: Context) -> None:
    """Remove ``staged/`` where that loses nothing; where it might, rename it to ``engine_YYYYMMDD``.

    It is removed when its manifest shows that it is newer than a whole ``engine/``, so that it can only
    be a new engine put together here; or when there is no engine and none was ever left, so that it can
    only be an unfinished first installation. Anything else may be an old engine in the middle of a swap.
    """
    paths, fs = context.paths, context.fs
    if find_stat(paths.staged) is None:
        return
    staged, engine = tree_in(context, paths.staged), tree_in(context, paths.engine)
    if find_stat(paths.engine) is None:
        is_spare = staged is not None and not list_previous(paths)
    else:
        newer = (
            staged is not None and engine is not None and engine.manifest.version < staged.manifest.version
        )
        is_spare = newer and engine is not None and engine.is_whole()
    if is_spare:
        remove_tree(fs, paths.staged)
        return
    _keep_staged(context)


def clear_own_staged(context: Context, journal: Journal) -> None:
    """The same for an attempt whose journal is at hand: what it staged itself is known and removed."""
    paths = context.paths
    if find_stat(paths.staged) is None:
        return
    engine = which(context, journal, paths.engine)
    is_safe = engine in (Which.FROM, Which.TO) or (engine is Which.NOTHING and journal.origin is None)
    staged = tree_in(context, paths.staged)
    is_own = staged is None or staged.manifest_sha256 == journal.goal.manifest_sha256
    is_old = journal.origin is not None and which(context, journal, paths.staged) is Which.FROM
    if is_safe and is_own and not (is_old and engine is not Which.FROM):
        remove_tree(context.fs, paths.staged)
        return
    _keep_staged(context)


def clear_downloads(context: Context) -> None:
    """Remove what was downloaded: it is installed, or not wanted."""
    try:
        parts = sorted(context.paths.download.iterdir())
    except FileNotFoundError:
        return
    for part in parts:
        context.fs.remove_file(part)


def _keep_staged(context: Context) -> None:
    paths = context.paths
    name = free_previous(paths, context.now().date())
    logger.warning("staged engine kept", extra={"folder": name.name})
    rename_patiently(context.fs, paths.staged, name, sleep=context.sleep)
