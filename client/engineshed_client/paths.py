"""Every name on the engine's disk, in one place. See ``docs/states.md``.

All of it lies on one volume, because a rename across volumes is a copy. The engine's folder and its
previous versions lie in the base itself; everything of the updater lies below ``update/``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engineshed_client.errors import SettingsRefused

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Paths:
    """The files and folders of one product instance.

    Attributes:
        base: absolute folder that holds the engine, its previous versions and ``update/``.
        engine_folder: name of the engine's folder in it: ``engine``, ``portal``, ``manager``, …
    """

    base: Path
    engine_folder: str = "engine"

    def __post_init__(self) -> None:
        if not self.base.is_absolute():
            raise SettingsRefused([f"base {self.base} is relative, expected an absolute folder"])
        if not _FOLDER_NAME.fullmatch(self.engine_folder) or self.engine_folder == "update":
            raise SettingsRefused(
                [f"engine_folder is {self.engine_folder!r}, expected letters, digits, - and _, not 'update'"]
            )

    @property
    def engine(self) -> Path:
        """The engine that runs."""
        return self.base / self.engine_folder

    @property
    def update(self) -> Path:
        """The updater's own folder."""
        return self.base / "update"

    @property
    def settings(self) -> Path:
        """The configuration."""
        return self.update / "updater.toml"

    @property
    def credentials(self) -> Path:
        """Identity, secret, portals and order keys; mode 0600."""
        return self.update / "credentials.json"

    @property
    def ext_lib(self) -> Path:
        """External libraries the administrator wants in every new engine."""
        return self.update / "ext" / "lib"

    @property
    def updater(self) -> Path:
        """The updater's own code, side by side by version; the launcher's files lie in it."""
        return self.update / "updater"

    @property
    def work(self) -> Path:
        """Everything that comes and goes; private to the updater (mode 0700)."""
        return self.update / "work"

    @property
    def update_log(self) -> Path:
        """What happened, a BEGIN and an END line per attempt."""
        return self.work / "logs" / "update.log"

    @property
    def journal(self) -> Path:
        """The state of the attempt under way; absent between attempts."""
        return self.work / "journal.json"

    @property
    def order(self) -> Path:
        """The order under way that is no attempt, such as one to stop the engine; absent between them."""
        return self.work / "order.json"

    @property
    def own(self) -> Path:
        """The change of the updater's own version under way; absent between them."""
        return self.work / "own.json"

    @property
    def lock(self) -> Path:
        """The lock of the one updater that may work here; never removed."""
        return self.work / "lock"

    @property
    def download(self) -> Path:
        """Folder of unverified bytes."""
        return self.work / "download"

    def part(self, sha256: str) -> Path:
        """The unverified bytes of the package whose signed SHA-256 is *sha256*."""
        return self.download / f"{sha256}.part"

    @property
    def staged(self) -> Path:
        """The new engine before the swap; for an instant in the swap, the old one."""
        return self.work / "staged"

    @property
    def failed(self) -> Path:
        """The last engine that failed its probe, kept for diagnosis."""
        return self.work / "failed"

    @property
    def outbox(self) -> Path:
        """Reports the portal has not acknowledged, one file per attempt."""
        return self.work / "outbox"

    @property
    def metadata(self) -> Path:
        """The cache of the vendor's verified metadata; losing it loses no protection (``seen``)."""
        return self.work / "metadata"

    @property
    def seen(self) -> Path:
        """What was ever seen or failed here; outlives the metadata cache."""
        return self.work / "seen.json"

    @property
    def seen_copy(self) -> Path:
        """The same as ``seen``, written before it; read when that is damaged or gone."""
        return self.work / "seen.json.copy"

    @property
    def adoption(self) -> Path:
        """Which engine, installed long ago, is to be adopted; absent when none is."""
        return self.work / "adoption.json"

    @property
    def heard(self) -> Path:
        """What the portal said last, for people."""
        return self.work / "heard.json"

    @property
    def service(self) -> Path:
        """What the supervisor remembers of the engine's process."""
        return self.work / "service.json"

    def previous(self, day: str, number: int) -> Path:
        """``engine_YYYYMMDD`` of *day* (``YYYYMMDD``); from the second of one day on, ``_2``, ``_3``, …"""
        suffix = "" if number == 1 else f"_{number}"
        return self.base / f"{self.engine_folder}_{day}{suffix}"

    def previous_order(self, name: str) -> tuple[str, int] | None:
        """The sort key (day, number) of a previous version's folder *name*; None for any other name."""
        pattern = rf"{re.escape(self.engine_folder)}_(\d{{8}})(?:_([2-9]|[1-9]\d+))?"
        found = re.fullmatch(pattern, name, re.ASCII)
        return None if found is None else (found[1], int(found[2] or 1))
