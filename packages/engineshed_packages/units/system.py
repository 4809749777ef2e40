"""A system's own units in ``/etc/systemd/system``: what is there, writing, removing, telling systemd.

The system is this host, or one below another root folder, as an image that is being built: then systemd
itself is not spoken to, only its files are arranged.
"""

from __future__ import annotations

import difflib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engineshed_packages.errors import UnitRefused
from engineshed_packages.files import fsync_folder, read_limited, write_file
from engineshed_packages.units.text import Unit, is_untouched

MAX_UNIT_BYTES = 256 * 1024
# Longer than any of our units takes to stop.
SYSTEMCTL_S = 150
_RUNS = Path("/run/systemd/system")  # sd_booted(3)


class Found(StrEnum):
    """How a unit's file compares with what would be written."""

    ABSENT = "absent"
    CURRENT = "current"
    OUTDATED = "outdated"  # ours and unchanged, but of other values or another version
    EDITED = "edited"  # changed by hand, or written by somebody else


class UnitEdited(UnitRefused):
    """A unit's file was changed by hand.

    Attributes:
        difference: from what is there to what would be there, as ``diff -u`` writes it.
    """

    def __init__(self, path: Path, difference: Sequence[str]) -> None:
        advice = "move what you changed into a drop-in (systemctl edit), or give --force"
        super().__init__("unit-edited", f"{path} was changed by hand and is left as it is: {advice}")
        self.difference = tuple(difference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What is known of one unit; ``enabled`` and ``active`` as systemctl says them, None: not asked."""

    path: Path
    found: Found
    enabled: str | None
    active: str | None


class System:
    """The units of one system; *root* is its root folder, None for this host."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root
        self.folder = (Path("/") if root is None else root) / "etc/systemd/system"

    @property
    def is_this_host(self) -> bool:
        """Whether the system is the one this process runs on."""
        return self._root is None

    @property
    def runs(self) -> bool:
        """Whether systemd runs here and can be told something."""
        return self._root is None and _RUNS.is_dir()

    def require_systemd(self) -> None:
        """Refuse where no unit can be installed.

        Raises:
            UnitRefused: code ``unit-system``.
        """
        if sys.platform == "win32":
            message = "there is no systemd on Windows: the updater is run by deploy/windows/service.ps1"
            raise UnitRefused("unit-system", message)
        if shutil.which("systemctl") is None:
            message = "there is no systemctl here: print the units with --print and adapt them by hand"
            raise UnitRefused("unit-system", message)

    def look(self, unit: Unit) -> Installed:
        """What is there of *unit*."""
        path = self.folder / unit.name
        enabled = None if self._root is None and not self.runs else self._word("is-enabled", unit.name)
        active = self._word("is-active", unit.name) if self.runs else None
        return Installed(path=path, found=self._compare(unit), enabled=enabled, active=active)

    def write(self, units: Sequence[Unit], *, force: bool) -> tuple[Path, ...]:
        """Put *units* in place, all or none; the paths of those that changed.

        Raises:
            UnitEdited: one was changed by hand; with *force* it is replaced all the same.
            OSError: a file could not be written.
        """
        self._refuse_edited(units, force=force)
        changed = []
        for unit in units:
            if self._compare(unit) is not Found.CURRENT:
                self.folder.mkdir(parents=True, exist_ok=True)
                write_file(self.folder / unit.name, unit.text.encode("utf-8"))
                changed.append(self.folder / unit.name)
        if self.runs:
            self._systemctl("daemon-reload")
        return tuple(changed)

    def remove(self, units: Sequence[Unit], *, force: bool) -> tuple[Path, ...]:
        """Stop and disable *units* and remove their files; the paths that were removed.

        Raises:
            UnitEdited: as for ``write``.
            UnitRefused: code ``systemctl-failed``.
        """
        self._refuse_edited(units, force=force)
        there = [unit for unit in units if self._compare(unit) is not Found.ABSENT]
        if not there:
            return ()
        names = [unit.name for unit in there]
        self._systemctl("disable", *(["--now"] if self.runs else []), *names)
        for name in names:
            (self.folder / name).unlink()
        fsync_folder(self.folder)
        if self.runs:
            self._systemctl("daemon-reload")
        return tuple(self.folder / name for name in names)

    def enable(self, names: Sequence[str]) -> None:
        """Let the units *names* be started at boot, as their ``[Install]`` says now.

        Raises:
            UnitRefused: code ``systemctl-failed``.
        """
        # Not `enable`: what an earlier [Install] had asked for would stay.
        self._systemctl("reenable", *names)

    def start(self, names: Sequence[str], *, anew: bool) -> None:
        """Start the units *names*; *anew*: those that run are started again.

        Raises:
            UnitRefused: code ``systemctl-failed``.
        """
        self._systemctl("restart" if anew else "start", *names)

    def _compare(self, unit: Unit) -> Found:
        text = self._read(unit.name)
        if text is None:
            return Found.ABSENT
        if text == unit.text:
            return Found.CURRENT
        return Found.OUTDATED if is_untouched(text) else Found.EDITED

    def _refuse_edited(self, units: Sequence[Unit], *, force: bool) -> None:
        for unit in units:
            if not force and self._compare(unit) is Found.EDITED:
                path, text = self.folder / unit.name, self._read(unit.name)
                there = (text or "").splitlines()
                raise UnitEdited(
                    path,
                    list(difflib.unified_diff(there, unit.text.splitlines(), str(path), "new", lineterm="")),
                )

    def _read(self, name: str) -> str | None:
        path = self.folder / name
        if not path.is_file():
            return None
        return read_limited(path, MAX_UNIT_BYTES).decode("utf-8", "replace")

    def _systemctl(self, *words: str) -> None:
        done = self._run(*words)
        if done.returncode != 0:
            said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
            raise UnitRefused("systemctl-failed", f"systemctl {' '.join(words)}: {said[:500]}")

    def _word(self, verb: str, name: str) -> str:
        return self._run(verb, name).stdout.strip() or "unknown"

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        root = [] if self._root is None else [f"--root={self._root}"]
        try:
            return subprocess.run(
                ["systemctl", *root, *words],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=SYSTEMCTL_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as err:
            raise UnitRefused("systemctl-failed", f"systemctl {' '.join(words)}: {err}") from err
