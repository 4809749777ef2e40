"""Writing a small file so that a power cut leaves the old content or the new, never a part.

The one helper for that: a temporary file in the same folder, write, flush, fsync, rename over the
name, fsync the folder. Measured reason: on a default ext4 a rename without fsync left a file of the
right length full of NULs after a power cut. Who writes or reads large files finds here what they share.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import BinaryIO

from engineshed_packages.errors import FileRefused

TEMPORARY_SUFFIX = ".tmp"


def fsync_folder(folder: Path) -> None:
    """Make renames and removals in *folder* durable; Windows has no such call and needs none.

    Raises:
        OSError: the folder cannot be opened or synchronised.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop_pages(file: BinaryIO, *, start: int = 0, end: int | None = None) -> None:
    """Give back the memory in which the system keeps *file* from *start* to *end*, or to its end.

    For a large file that is read or written once. Kept, it would push others out, and its pages would be
    memory the system has to find first: measured, that costs up to five times what copying the bytes does.
    Given back in steps, the next step gets the same pages again. What is not durable yet stays in memory.
    Windows has no such call, and needs none.
    """
    if sys.platform == "linux":
        length = 0 if end is None else end - start  # to the system, 0 is all the rest
        os.posix_fadvise(file.fileno(), start, length, os.POSIX_FADV_DONTNEED)


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace *path* by *data* atomically and durably, with permission bits *mode*.

    The mode is set before the name appears: a secret is never readable by others, not even briefly.

    Raises:
        OSError: nothing was changed; the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if sys.platform != "win32":
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def read_limited(path: Path, limit_bytes: int) -> bytes:
    """Read a whole small file of at most *limit_bytes*.

    Raises:
        FileRefused: code ``file-missing``, ``file-unreadable`` or ``file-too-large``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except FileNotFoundError as err:
        raise FileRefused("file-missing", f"{path} does not exist") from err
    except OSError as err:
        raise FileRefused("file-unreadable", f"{path} cannot be read: {err.strerror or err}") from err
    if len(data) > limit_bytes:
        raise FileRefused(
            "file-too-large", f"{path} is larger than the {limit_bytes} bytes such a file may have"
        )
    return data
