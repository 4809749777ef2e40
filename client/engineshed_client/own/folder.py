"""``update/updater/``: the updater's versions, and the files by which the launcher chooses among them.

The launcher is never updated: what it reads is a contract for ever (``docs/own-update.md``). Each of its
files is replaced by rename, and in such an order that whatever they say in between can be started.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import engineshed_client
from engineshed_client.errors import Refused, client_boundary
from engineshed_client.fsops import FsOps, find_stat, is_folder
from engineshed_client.paths import Paths
from engineshed_packages.errors import FileRefused
from engineshed_packages.files import read_limited
from engineshed_packages.versions import Version

PROGRAM: Final = "engineshed-client.pyz"
LAUNCHER_ENV: Final = "ENGINESHED_LAUNCHER"
CURRENT: Final = "current.txt"
PREVIOUS: Final = "previous.txt"
STARTS: Final = "starts.txt"
STAGED: Final = ".staged"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!-]{0,63}", re.ASCII)
_MAX_TEXT_BYTES: Final = 200


@dataclass(frozen=True, slots=True)
class LaunchedAs:
    """How the launcher started this process.

    Attributes:
        launcher: the launcher's file.
        name: of this version's folder in ``update/updater``; None for the installed distribution.
    """

    launcher: Path
    name: str | None


def find_launched(paths: Paths, environ: Mapping[str, str]) -> LaunchedAs | None:
    """How this process was launched; None when it was started without the launcher."""
    launcher = environ.get(LAUNCHER_ENV)
    if not launcher or not os.path.isfile(launcher):
        return None
    updater = paths.updater.resolve()
    inside = (path for path in Path(engineshed_client.__file__).resolve().parents if path.parent == updater)
    found = next(inside, None)
    return LaunchedAs(Path(launcher), None if found is None else found.name)


def name_of(version: Version) -> str:
    """The folder of *version*.

    Raises:
        Refused: code ``version-unfit``: the launcher could not start one of that name.
    """
    if not _NAME.fullmatch(version.text):
        raise Refused(
            "version-unfit",
            f"updater {version.text} cannot be installed side by side: expected a version of letters, digits "
            "and . _ ! -",
        )
    return version.text


class UpdaterFolder:
    """The folder ``update/updater`` of one base; changed only under the updater's lock."""

    def __init__(self, paths: Paths, fs: FsOps) -> None:
        self._folder = paths.updater
        self._fs = fs

    @property
    def current(self) -> str | None:
        """What the launcher starts; None when that is the installed distribution."""
        return self._read(CURRENT)

    @property
    def previous(self) -> str | None:
        """What the launcher starts when that does not come up; None for the installed distribution."""
        return self._read(PREVIOUS)

    def program(self, name: str) -> Path:
        """The single file of the version *name*."""
        return self._folder / name / PROGRAM

    def _read(self, file: str) -> str | None:
        """The name in *file*, None when it is not there or says nothing."""
        try:
            text = read_limited(self._folder / file, _MAX_TEXT_BYTES).decode("ascii", "replace").strip()
        except FileRefused as err:
            if isinstance(err.__cause__, OSError) and err.code != "file-missing":
                raise err.__cause__ from err
            return None
        return text if _NAME.fullmatch(text) else None

    def stage(self, data: bytes) -> Path:
        """Write the single file of a version to come; where it lies, with nothing beside it.

        Raises:
            DiskTrouble: it is not there.
        """
        staged = self._folder / STAGED
        with client_boundary():
            self._fs.make_folder(staged, mode=0o755)
            self._fs.write_file(staged / PROGRAM, data, mode=0o755)
        return staged / PROGRAM

    def place(self, name: str) -> None:
        """Give what is staged its name; a version of that name that nobody points to gives way.

        Raises:
            Refused: code ``updater-in-use``. DiskTrouble: nothing points to it.
        """
        if name in (self.current, self.previous):
            raise Refused("updater-in-use", f"updater {name} is installed on this host already")
        with client_boundary():
            self._remove(name)
            self._fs.rename(self._folder / STAGED, self._folder / name)

    def try_out(self, name: str, *, instead_of: str | None) -> None:
        """Let the launcher start *name*, three times, and *instead_of* when it does not come up.

        Raises:
            DiskTrouble: what the launcher starts is either.
        """
        with client_boundary():
            self._write(PREVIOUS, instead_of)
            # It has not come up yet: the launcher counts on from here, also when it was tried before.
            self._write(STARTS, f"{name} 0")
            self._write(CURRENT, name)

    def go_back(self, name: str | None, *, previous: str | None) -> None:
        """Let the launcher start *name* again, as before *previous* was what it went back to.

        Raises:
            DiskTrouble: what the launcher starts is either.
        """
        with client_boundary():
            self._write(CURRENT, name)
            self._write(PREVIOUS, previous)
            self._write(STARTS, None)

    def came_up(self, name: str | None) -> None:
        """Clear the count of starts when it is that of *name*: another version's is none of its business.

        Raises:
            DiskTrouble: it may still be there.
        """
        with client_boundary():
            if self.current == name:
                self._write(STARTS, None)

    def prune(self) -> None:
        """Remove what nothing points to; a folder that holds no updater is somebody else's.

        Raises:
            DiskTrouble: some of it is still there.
        """
        with client_boundary():
            if not is_folder(self._folder):
                return
            used = (self.current, self.previous)
            for path in sorted(self._folder.iterdir()):
                if path.name not in used and _holds_an_updater(path):
                    self._remove(path.name)

    def _write(self, file: str, text: str | None) -> None:
        path = self._folder / file
        if text is not None:
            self._fs.make_folder(self._folder)
            self._fs.write_file(path, f"{text}\n".encode("ascii"))
        elif find_stat(path) is not None:
            self._fs.remove_file(path)
            self._fs.sync_folder(self._folder)

    def _remove(self, name: str) -> None:
        """Remove a version's folder, which holds one file."""
        folder = self._folder / name
        if find_stat(folder) is None:
            return
        self._fs.remove_file(folder / PROGRAM)
        self._fs.remove_folder(folder)
        self._fs.sync_folder(self._folder)


def _holds_an_updater(path: Path) -> bool:
    """Whether *path* is a version's folder, or what an interruption left of one."""
    if not is_folder(path) or not (_NAME.fullmatch(path.name) or path.name == STAGED):
        return False
    return all(one.name == PROGRAM for one in path.iterdir())
