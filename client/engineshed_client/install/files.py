"""Single files and folders of a tree: walked without following links, copied durably, removed whole.

Nothing here trusts what lies in a live engine: a link is a link, wherever it points, and is never
followed; what is neither file, folder nor link (a socket, a pipe) is told apart and left alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from engineshed_client.fsops import FsOps, find_stat, is_folder
from engineshed_packages.digests import CHUNK_BYTES
from engineshed_packages.manifest import MANIFEST_NAME

_WRITABLE_FOLDER = 0o700
_WRITABLE_FILE = 0o200


class Shape(Enum):
    """What lies under a name."""

    FILE = auto()
    FOLDER = auto()
    LINK = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something in a tree; *relative* is its path from the tree's top, with forward slashes."""

    relative: str
    path: Path
    status: os.stat_result

    @property
    def shape(self) -> Shape:
        """What it is."""
        return shape_of(self.status)


def shape_of(status: os.stat_result) -> Shape:
    """What *status*, made without following links, describes."""
    # A junction of Windows says it is a folder; only its attribute tells that it leads elsewhere.
    reparse = getattr(status, "st_file_attributes", 0) & getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0)
    if stat.S_ISLNK(status.st_mode) or reparse:
        return Shape.LINK
    if stat.S_ISDIR(status.st_mode):
        return Shape.FOLDER
    return Shape.FILE if stat.S_ISREG(status.st_mode) else Shape.OTHER


def find_inside(top: Path, relative: str) -> os.stat_result | None:
    """What is at *relative* in the tree *top*; None when nothing is, or a part above it is no real folder.

    Raises:
        OSError: it cannot be told.
    """
    path = top
    for part in relative.split("/")[:-1]:
        path /= part
        status = find_stat(path)
        if status is None or shape_of(status) is not Shape.FOLDER:
            return None
    return find_stat(top / relative)


def walk(top: Path, prefix: str = "") -> Iterator[Found]:
    """Everything below *top* in order of names, a folder before its content; links are not followed.

    Raises:
        OSError: something cannot be looked at. What disappears meanwhile is left out.
    """
    for name in sorted(os.listdir(top)):
        path = top / name
        status = find_stat(path)
        if status is None:
            continue
        found = Found(relative=prefix + name, path=path, status=status)
        yield found
        if found.shape is Shape.FOLDER:
            yield from walk(path, f"{found.relative}/")


def sha256_no_follow(path: Path) -> str:
    """The SHA-256 of the file at *path*; a link is an error, as ``open`` with O_NOFOLLOW says it."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0, opener=_open_no_follow) as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def copy_file(fs: FsOps, source: Found, destination: Path, owner: os.stat_result | None = None) -> None:
    """Copy a file with owner, mode, ACL and times, durably, in place of a file or link that is there.

    The folder of *destination* is to be synchronised by the caller, once for all its files.

    Args:
        owner: whose the copy is, None: whose the source is.
    """
    fs.remove_file(destination)
    with (
        open(source.path, "rb", buffering=0, opener=_open_no_follow) as reader,
        fs.open_new(destination, mode=0o600) as writer,
    ):
        while piece := reader.read(CHUNK_BYTES):
            writer.write(piece)
        take_looks(fs, destination, source, owner)
        fs.set_times(destination, source.status)
        writer.sync()


def take_looks(fs: FsOps, path: Path, like: Found, owner: os.stat_result | None = None) -> None:
    """Give *path* the mode and ACL of *like*, and its owner or another."""
    # The owner first: changing it clears mode bits.
    fs.take_owner(path, like.status if owner is None else owner)
    fs.set_mode(path, stat.S_IMODE(like.status.st_mode))
    fs.take_acl(path, like.path)


def copy_link(fs: FsOps, source: Found, destination: Path) -> None:
    """Make *destination* a link with the same text and owner, wherever it points."""
    fs.remove_file(destination)
    fs.make_link(destination, os.readlink(source.path))
    fs.take_owner(destination, source.status)


def sync_folders(fs: FsOps, top: Path) -> None:
    """Make every name in the tree durable, the deepest folders first."""
    folders = [found.path for found in walk(top) if found.shape is Shape.FOLDER]
    for folder in reversed(folders):
        fs.sync_folder(folder)
    fs.sync_folder(top)


def remove_tree(fs: FsOps, top: Path) -> None:
    """Remove *top* and all below it, durably; nothing there is fine. Links are removed, not followed.

    The manifest goes last, so that what an interruption leaves still says what it was.
    """
    if not is_folder(top):
        fs.remove_file(top)
        return
    if find_stat(top / MANIFEST_NAME) is not None:
        _clear(fs, top, spare=MANIFEST_NAME)
    _clear(fs, top)
    fs.remove_folder(top)
    fs.sync_folder(top.parent)


def _clear(fs: FsOps, folder: Path, spare: str | None = None) -> None:
    mode = stat.S_IMODE(os.lstat(folder).st_mode)
    if mode & _WRITABLE_FOLDER != _WRITABLE_FOLDER:
        fs.set_mode(folder, mode | _WRITABLE_FOLDER)
    for name in sorted(os.listdir(folder)):
        if name == spare:
            continue
        path = folder / name
        status = os.lstat(path)
        shape = shape_of(status)
        if shape is Shape.FOLDER:
            _clear(fs, path)
            fs.remove_folder(path)
            continue
        if shape is Shape.FILE and os.name == "nt" and not status.st_mode & _WRITABLE_FILE:
            fs.set_mode(path, _WRITABLE_FILE)  # Windows removes no read-only file
        fs.remove_file(path)
