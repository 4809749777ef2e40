"""The engine that is installed, as a poll tells of it: its version, and how it is.

A manifest may list fifty thousand files: it is read again only when its file has changed, and only what a
poll needs is kept of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from engineshed_client.adoption import Adoption, AdoptionFile
from engineshed_client.errors import EngineTrouble, SettingsRefused, client_boundary
from engineshed_client.fsops import FsOps, find_stat
from engineshed_client.health import probe_once, probe_spec
from engineshed_client.install.trees import find_tree
from engineshed_client.paths import Paths
from engineshed_client.settings import Settings
from engineshed_client.supervisor import Supervisor
from engineshed_packages.manifest import MANIFEST_NAME, ProbeSpec
from engineshed_packages.protocol import Health
from engineshed_packages.versions import Version

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """How the engine is, and the version that it named itself; None when it named none."""

    health: Health
    measured_version: str | None


class InstalledEngine:
    """Looks at the engine of one base."""

    def __init__(self, paths: Paths, settings: Settings, supervisor: Supervisor) -> None:
        self._paths = paths
        self._settings = settings
        self._supervisor = supervisor
        self._adoption = AdoptionFile(paths, FsOps())
        self._stamp: tuple[int, int, int] | None = None
        self._version: Version | None = None
        self._probe: ProbeSpec | None = None

    def version(self) -> Version | None:
        """The installed version by the manifest; None when there is no engine.

        Of one that is to be adopted, what the administrator said.

        Raises:
            DiskTrouble: it cannot be told.
        """
        self._look()
        if self._version is not None:
            return self._version
        adoption = self.adoption()
        return None if adoption is None else adoption.version

    def adoption(self) -> Adoption | None:
        """The engine that is to be adopted.

        Raises:
            DiskTrouble: it cannot be told.
        """
        return self._adoption.load()

    def condition(self) -> Condition:
        """Whether the engine runs, and what one look at it says.

        Raises:
            DiskTrouble: it cannot be told.
        """
        self._look()
        if self._version is None:
            return Condition(Health.UNKNOWN, None)
        try:
            if not self._supervisor.is_running():
                return Condition(Health.STOPPED, None)
        except EngineTrouble as err:
            logger.warning(
                "engine's service cannot be asked", extra={"code": err.code, "reason": err.message}
            )
            return Condition(Health.UNKNOWN, None)
        if self._probe is None:
            return Condition(Health.UNKNOWN, None)
        tick = probe_once(self._probe, expected_version=self._version)
        return Condition(Health.GOOD if tick.good else Health.BAD, tick.version)

    def _look(self) -> None:
        with client_boundary():
            found = find_stat(self._paths.engine / MANIFEST_NAME)
            stamp = None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp is not None and stamp == self._stamp:
                return
            tree = find_tree(self._paths.engine)
        self._stamp, self._version, self._probe = stamp, None, None
        if tree is not None:
            self._version = tree.manifest.version
            try:
                self._probe = probe_spec(tree.manifest.probe, self._settings, self._paths)
            except SettingsRefused:
                self._probe = None  # an attempt would tell; a poll only says that health is unknown
