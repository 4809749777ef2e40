"""The one seam for every effect of the updater on the file system.

Nothing else in the client creates, writes, renames, removes or changes a file (a test looks). So a
test that subclasses ``FsOps`` can stop or fail an update at each single effect, and a reader finds in
one place what reaches the disk. Every effect announces itself to ``_about_to`` first.

Rules that were measured, and that this module keeps:

- files are written without a buffer: with one, an error at the implicit close is swallowed;
- a file that matters is synchronised before its name appears, and its folder afterwards;
- a synchronisation that failed is not tried again, the file is written anew;
- only "not found" means that nothing is there; any other ``OSError`` is an error.

Methods raise ``OSError`` as the system does; ``errors.disk_trouble`` gives it a code.
"""

from __future__ import annotations

import ctypes
import errno
import io
import logging
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engineshed_client.errors import Locked

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

logger = logging.getLogger(__name__)

TEMPORARY_SUFFIX = ".tmp"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})
# Absent on Windows, which has no such links for ordinary users and reads text unless told not to.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_ACL_ATTRIBUTES = frozenset({"system.posix_acl_access", "system.posix_acl_default"})


class ExchangeUnsupported(Exception):
    """This system or file system cannot exchange two names in one step."""


def find_stat(path: Path) -> os.stat_result | None:
    """What is at *path*, a link not followed; None only when there is nothing.

    Raises:
        OSError: whether something is there cannot be told.
    """
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def is_folder(path: Path) -> bool:
    """True when *path* is a real folder, not a link to one."""
    found = find_stat(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system say that it was about *path*: of an open file it knows the number alone."""
    try:
        yield
    except OSError as err:
        err.filename = str(path) if err.filename is None else err.filename
        raise


class EffectFile(io.FileIO):
    """An unbuffered binary file whose writes go through the seam."""

    def __init__(self, fs: FsOps, path: Path, descriptor: int) -> None:
        super().__init__(descriptor, "r+")
        self._fs = fs
        self.path = path

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of *data*."""
        return self._fs.write(self, data)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the file to *size* bytes, or to the current position."""
        self._fs.announce("truncate", self.path)
        return super().truncate(size)

    def sync(self) -> None:
        """Make what was written durable. After a failure the file must be written anew."""
        self._fs.sync(self)


class FsOps:
    """Every mutating file-system call of the updater."""

    def announce(self, effect: str, path: Path) -> None:
        """Called before each effect; tests stop or fail the updater here."""
        logger.debug("file-system effect", extra={"effect": effect, "path": str(path)})

    def free_bytes(self, folder: Path) -> int:
        """What may still be written on the volume of *folder*."""
        return shutil.disk_usage(folder).free

    # files

    def open_new(self, path: Path, *, mode: int = 0o644) -> EffectFile:
        """Create *path*, which must not exist, for writing."""
        return self._open("create", path, flags=os.O_CREAT | os.O_EXCL, mode=mode)

    def open_update(self, path: Path, *, mode: int = 0o600) -> EffectFile:
        """Open *path* for reading and writing from its beginning; created when absent."""
        return self._open("open", path, flags=os.O_CREAT, mode=mode)

    def open_append(self, path: Path, *, mode: int = 0o644) -> EffectFile:
        """Open *path* so that every write goes to its end; created when absent."""
        return self._open("open", path, flags=os.O_CREAT | os.O_APPEND, mode=mode)

    def _open(self, effect: str, path: Path, *, flags: int, mode: int) -> EffectFile:
        self.announce(effect, path)
        return EffectFile(self, path, os.open(path, flags | os.O_RDWR | _NO_FOLLOW | _BINARY, mode))

    def write(self, file: EffectFile, data: ReadableBuffer) -> int:
        """Write all of *data* at the file's position."""
        self.announce("write", file.path)
        rest = memoryview(data).cast("B")
        length = len(rest)
        with naming(file.path):
            while rest:
                rest = rest[os.write(file.fileno(), rest) :]
        return length

    def sync(self, file: EffectFile) -> None:
        """Make the content and the looks of *file* durable."""
        self.announce("sync", file.path)
        with naming(file.path):
            os.fsync(file.fileno())

    def write_file(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        """Replace *path* by *data*, atomically and durably, with permission bits *mode*.

        The temporary name is fixed, so that nothing grows however often this is interrupted.

        Raises:
            OSError: *path* is as it was.
        """
        temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
        self.remove_file(temporary)
        try:
            with self.open_new(temporary, mode=mode) as file:
                file.write(data)
                file.sync()
            self.set_mode(temporary, mode)
            self.replace(temporary, path)
        except OSError:
            self._try_remove(temporary)
            raise
        self.sync_folder(path.parent)

    def _try_remove(self, path: Path) -> None:
        try:
            self.remove_file(path)
        except OSError as err:
            # The error that led here is the one to tell; the next write removes this file.
            logger.warning("temporary file left", extra={"path": str(path), "reason": str(err)})

    def remove_file(self, path: Path) -> None:
        """Remove a file or link; nothing there is fine."""
        if find_stat(path) is None:
            return
        self.announce("remove", path)
        path.unlink(missing_ok=True)

    def replace(self, source: Path, destination: Path) -> None:
        """Give a file the name *destination*, in place of what had it."""
        self.announce("replace", destination)
        os.replace(source, destination)

    def make_link(self, path: Path, target: str) -> None:
        """Create the symbolic link *path* with the text *target*."""
        self.announce("link", path)
        os.symlink(target, path)

    # folders

    def make_folder(self, path: Path, *, mode: int = 0o755) -> None:
        """Create the folder *path* and what lacks above it, durably; a folder there is fine."""
        if is_folder(path):
            return
        if not is_folder(path.parent):
            self.make_folder(path.parent)
        self.announce("make folder", path)
        path.mkdir(mode=mode)
        self.sync_folder(path.parent)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        self.announce("remove folder", path)
        path.rmdir()

    def rename(self, source: Path, destination: Path) -> None:
        """Rename a folder to a name that nothing has, durably.

        Raises:
            FileExistsError: *destination* exists; nothing was changed.
        """
        if find_stat(destination) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination))
        self.announce("rename", destination)
        os.rename(source, destination)
        self._sync_both(source, destination)

    def exchange(self, one: Path, other: Path) -> None:
        """Exchange the names of two folders in one step: at no instant is one of them absent.

        Raises:
            ExchangeUnsupported: the system cannot; nothing was changed.
            OSError: anything else; nothing was changed.
        """
        self.announce("exchange", one)
        _renameat2_exchange(one, other)
        self._sync_both(one, other)

    def _sync_both(self, one: Path, other: Path) -> None:
        self.sync_folder(other.parent)
        if one.parent != other.parent:
            self.sync_folder(one.parent)

    def sync_folder(self, path: Path) -> None:
        """Make the names in *path* durable; Windows has no such call and needs none."""
        self.announce("sync folder", path)
        if sys.platform == "win32":
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # what files carry with them; links are never followed

    def set_mode(self, path: Path, mode: int) -> None:
        """Set the permission bits of a file or folder that is no link."""
        self.announce("set mode", path)
        os.chmod(path, mode)

    def take_owner(self, path: Path, like: os.stat_result) -> None:
        """Give *path* the owner and group of *like*, where they differ; Windows inherits them."""
        if sys.platform == "win32":
            return
        now = os.lstat(path)
        if (now.st_uid, now.st_gid) == (like.st_uid, like.st_gid):
            return
        self.announce("set owner", path)
        os.chown(path, like.st_uid, like.st_gid, follow_symlinks=False)

    def take_acl(self, path: Path, source: Path) -> bool:
        """Give *path* the POSIX access lists of *source*, if it has any; whether it has."""
        if sys.platform != "linux":
            return False
        try:
            names = _ACL_ATTRIBUTES.intersection(os.listxattr(source, follow_symlinks=False))
        except OSError as err:
            if err.errno == errno.ENOTSUP:
                return False
            raise
        for name in sorted(names):
            self.announce("set acl", path)
            os.setxattr(path, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
        return bool(names)

    def set_times(self, path: Path, like: os.stat_result) -> None:
        """Give *path* the times of *like*."""
        self.announce("set times", path)
        os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))

    @contextmanager
    def scratch_folder(self, parent: Path) -> Iterator[Path]:
        """A folder in *parent* for what nobody keeps; gone when the block ends."""
        self.announce("scratch folder", parent)
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=parent) as folder:
            yield Path(folder)

    # the lock

    @contextmanager
    def lock(self, path: Path) -> Iterator[None]:
        """Hold the lock file *path*; the system frees it when the process ends, however it ends.

        Raises:
            Locked: code ``locked``: another updater holds it.
        """
        self.make_folder(path.parent, mode=0o700)
        with self.open_update(path) as file:
            try:
                _lock_now(file.fileno())
            except OSError as err:
                if err.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                    raise
                raise Locked(
                    "locked", f"{path} is held by another updater: let it finish, then try again"
                ) from err
            yield


def _lock_now(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _renameat2_exchange(one: Path, other: Path) -> None:
    """``renameat2(2)`` with ``RENAME_EXCHANGE``; Python's ``os`` module does not have it."""
    if sys.platform != "linux":
        raise ExchangeUnsupported(f"{sys.platform} has no renameat2")
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise ExchangeUnsupported("the C library has no renameat2")
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        raise ExchangeUnsupported(os.strerror(number))
    raise OSError(number, os.strerror(number), str(one), None, str(other))
