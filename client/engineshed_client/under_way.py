"""A file that says what is under way: saved before anything is done for it, gone when it is over.

It is read and written only under the updater's lock. ``agent.pending`` and ``own.record`` say what stands in
theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from engineshed_client.errors import DiskTrouble, client_boundary
from engineshed_client.fsops import FsOps
from engineshed_packages.errors import FileRefused, PackagesError
from engineshed_packages.files import read_limited


class Written(Protocol):
    """What can stand in such a file."""

    def to_bytes(self) -> bytes:
        """The file's content."""
        ...


Content = TypeVar("Content", bound=Written)


class UnderWayFile(Generic[Content]):
    """One such file.

    Args:
        read: takes its bytes, of which there are at most *max_bytes*.
        unreadable: the error for a file that says nothing, from a sentence that says why.
    """

    def __init__(
        self,
        path: Path,
        fs: FsOps,
        *,
        max_bytes: int,
        read: Callable[[bytes], Content],
        unreadable: Callable[[str], DiskTrouble],
    ) -> None:
        self._path = path
        self._fs = fs
        self._max_bytes = max_bytes
        self._read = read
        self._unreadable = unreadable

    def load(self) -> Content | None:
        """What is under way, None when nothing is.

        Raises:
            DiskTrouble: it cannot be read, or says nothing: see ``set_aside``.
        """
        try:
            data = read_limited(self._path, self._max_bytes)
        except FileRefused as err:
            if err.code == "file-missing":
                return None
            raise DiskTrouble("disk-error", err.message) from err
        try:
            return self._read(data)
        except (PackagesError, ValueError) as err:
            raise self._unreadable(f"{self._path} cannot be read: {err}") from err

    def save(self, content: Content) -> None:
        """Replace the file, durably.

        Raises:
            DiskTrouble: it is as it was.
        """
        with client_boundary():
            self._fs.make_folder(self._path.parent, mode=0o700)
            self._fs.write_file(self._path, content.to_bytes(), mode=0o600)

    def drop(self) -> None:
        """It is over.

        Raises:
            DiskTrouble: the file may still be there.
        """
        with client_boundary():
            self._fs.remove_file(self._path)
            self._fs.sync_folder(self._path.parent)

    def set_aside(self) -> None:
        """Keep an unreadable file with ``.corrupt`` behind its name, for people.

        Raises:
            DiskTrouble: it may be where it was.
        """
        with client_boundary():
            self._fs.replace(self._path, self._path.with_name(self._path.name + ".corrupt"))
            self._fs.sync_folder(self._path.parent)
