"""The poll: what this host tells its portal, in as few bytes as possible, and what it hears.

What seldom changes, the host's attributes and what the updater can do, is told at first and when it
changed. Free disk space always changes a little: it counts as changed when it moved by a quarter.
"""

from __future__ import annotations

import platform
import secrets
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from engineshed_client.agent.installed import Condition, InstalledEngine
from engineshed_client.errors import client_boundary
from engineshed_client.fetch import Portal
from engineshed_client.journal import State
from engineshed_client.paths import Paths
from engineshed_client.seen import SeenFile
from engineshed_client.settings import Settings
from engineshed_packages import __version__
from engineshed_packages.jsontext import escape_controls
from engineshed_packages.orders import CANCEL, CONFIGURE, INSTALL, RESTART, ROLLBACK, START, STOP
from engineshed_packages.protocol import Attributes, Health, Poll, PollAnswer

CAPABILITIES = (INSTALL, ROLLBACK, CANCEL, START, STOP, RESTART, CONFIGURE)
_MOVED = 0.25  # of the free space told last


@dataclass(frozen=True, slots=True, kw_only=True)
class Self:
    """Who polls; *renews* when it installs newer versions of itself."""

    engine: str
    settings: Settings
    paths: Paths
    now: Callable[[], datetime]
    renews: bool = False


class Poller:
    """Polls one portal for one engine."""

    def __init__(self, me: Self, portal: Portal, *, seen: SeenFile, installed: InstalledEngine) -> None:
        self._me = me
        self._portal = portal
        self._seen = seen
        self._installed = installed
        self._boot = secrets.token_hex(4)
        self._told: Attributes | None = None
        self._condition = Condition(Health.UNKNOWN, None)

    def poll(self, state: State, attempt: str | None) -> PollAnswer:
        """Ask for news; *state* and *attempt* are those of the attempt under way, if there is one.

        Raises:
            PortalUnavailable, EnrolmentRefused, Refused: as ``Portal.poll``.
            DiskTrouble: the engine or what was seen cannot be read.
        """
        attributes = self._news_of_host()
        answer = self._portal.poll(self._poll(state, attempt, attributes))
        if attributes is not None:
            self._told = attributes
        return answer

    def _poll(self, state: State, attempt: str | None, attributes: Attributes | None) -> Poll:
        if attempt is None:
            # In an attempt the machine probes; the poll then tells what was seen last.
            self._condition = self._installed.condition()
        seen = self._seen.load()
        return Poll(
            engine=self._me.engine,
            product=self._me.settings.product,
            platform=self._me.settings.platform,
            version=self._installed.version(),
            measured_version=self._condition.measured_version,
            health=self._condition.health,
            state=state,
            attempt=attempt,
            seq=seen.seq,
            boot=self._boot,
            clock=self._me.now(),
            trusted_clock=seen.metadata.newest_date,
            root_version=seen.metadata.root_version,
            timestamp_version=seen.metadata.timestamp_version,
            skipped=seen.skipped,
            renews=self._me.renews,
            updater_version=__version__,
            capabilities=CAPABILITIES if attributes is not None else (),
            attributes=attributes,
        )

    def _news_of_host(self) -> Attributes | None:
        """The host's attributes, when they are not what was told last."""
        with client_boundary():
            now = read_attributes(self._me.paths)
        told = self._told
        if told is None or replace(now, free_disk_bytes=told.free_disk_bytes) != told:
            return now
        moved = abs(now.free_disk_bytes - told.free_disk_bytes)
        return now if moved > told.free_disk_bytes * _MOVED else None


def read_attributes(paths: Paths) -> Attributes:
    """What is known of this host.

    Raises:
        OSError: the disk cannot be asked.
    """
    return Attributes(
        host_name=escape_controls(socket.gethostname())[:200],
        os=f"{platform.system()} {platform.release()}"[:200],
        arch=platform.machine()[:200],
        free_disk_bytes=shutil.disk_usage(paths.base).free,
    )
