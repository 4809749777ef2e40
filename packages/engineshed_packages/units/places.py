"""Where a service's files lie, and what that means for its unit.

A unit hides much of the host from its service. What is needed all the same is seen here while somebody is
there to be told, not as "status=203/EXEC" in a log at the next boot.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engineshed_packages.errors import UnitRefused

_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
ROOT = "root"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this host with its groups."""

    name: str
    uid: int
    gids: frozenset[int]


def find_account(name: str) -> Account:
    """The user of that *name*.

    Raises:
        UnitRefused: code ``unit-user``: there is none.
    """
    if sys.platform == "win32":
        raise UnitRefused("unit-system", "services are not installed on Windows yet")
    import pwd

    try:
        found = pwd.getpwnam(name)
    except KeyError as err:
        message = f"there is no user {name} here: make one (useradd --system {name}), or give --user"
        raise UnitRefused("unit-user", message) from err
    return Account(name, found.pw_uid, frozenset(os.getgrouplist(name, found.pw_gid)))


def owner_of(folder: Path) -> str | None:
    """The name of the user that *folder* belongs to; None when there is no folder, or no such user."""
    if sys.platform == "win32":
        return None
    try:
        return folder.owner()
    except (FileNotFoundError, KeyError):
        return None


def protect_home(needed: Sequence[Path]) -> str:
    """What ``ProtectHome=`` may be when the service needs the files *needed*."""
    return "read-only" if any(_is_below(path, _HOMES) for path in needed) else "yes"


def refuse_temporary(path: Path, what: str) -> None:
    """Refuse what lies where the unit shows an empty folder, and where hosts clean up.

    Raises:
        UnitRefused: code ``unit-place``.
    """
    if _is_below(path, _TEMPORARY):
        message = f"{what} {path} lies among temporary files, which the service does not see: move it"
        raise UnitRefused("unit-place", message)


def check_readable(paths: Sequence[Path], account: Account) -> None:
    """Refuse when *account* cannot get at one of *paths*: the service would not come up.

    Raises:
        UnitRefused: code ``unit-place``.
    """
    for path in paths:
        for step in (path, *path.parents):
            try:
                found = step.stat()
            except OSError as err:
                raise UnitRefused("unit-place", f"{step}: {err.strerror or err}") from err
            bit = 0o001 if step != path or step.is_dir() else 0o004
            if account.uid == found.st_uid:
                bit <<= 6
            elif found.st_gid in account.gids:
                bit <<= 3
            if account.uid != 0 and not found.st_mode & bit:
                message = (
                    f"user {account.name} cannot get at {path}: {step} keeps others out; move or open it"
                )
                raise UnitRefused("unit-place", message)


def _is_below(path: Path, folders: Sequence[Path]) -> bool:
    places = (path, Path(os.path.realpath(path)))
    return any(place.is_relative_to(folder) for place in places for folder in folders)
