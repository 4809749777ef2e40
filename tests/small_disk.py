"""A real volume that fills up: a tmpfs of a few megabytes, for tests that run as root on Linux."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require


@dataclass(frozen=True)
class SmallDisk:
    """The mounted volume."""

    folder: Path

    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, *, leaving_bytes: int) -> None:
        """Takes the space of the volume but for so much."""
        with (self.folder / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free_bytes() - leaving_bytes)

    def make_room(self) -> None:
        (self.folder / "filler").unlink()


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mounts a volume of that size on *folder*, and takes it away again."""
    require(sys.platform == "linux" and os.geteuid() == 0, "root, who may mount")
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0750", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that a failed test left may still be there.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
