"""The parts of one updater process, chosen and put together; nowhere else are they.

parts = connect(open_base(base, settings))
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from engineshed_client.agent.cycle import Parts
from engineshed_client.agent.gate import OrderGate
from engineshed_client.agent.installed import InstalledEngine
from engineshed_client.agent.own_updating import OwnUpdate
from engineshed_client.agent.polling import Poller, Self
from engineshed_client.enrol import read_credentials
from engineshed_client.errors import SettingsRefused
from engineshed_client.fetch import Portal
from engineshed_client.fsops import FsOps
from engineshed_client.journal import JournalFile
from engineshed_client.paths import Paths
from engineshed_client.reports import Outbox, UpdateLog
from engineshed_client.seen import SeenFile
from engineshed_client.settings import EngineSettings, Settings
from engineshed_client.settings.keys import SYSTEMD, WINDOWS
from engineshed_client.steps.context import Context, no_progress
from engineshed_client.supervisor import CommandSupervisor, Supervisor, SystemdSupervisor, WindowsSupervisor
from engineshed_packages import __version__

logger = logging.getLogger(__name__)


def host_clock() -> datetime:
    """The host's clock, aware UTC."""
    return datetime.now(UTC)


def open_base(settings: Settings, progress: Callable[[int, int], None] = no_progress) -> Context:
    """The context for local commands: without a portal, and before enrolment without an identity.

    Raises:
        SettingsRefused: the identity is there and cannot be read.
    """
    paths = Paths(settings.base, settings.engine_folder)
    fs = FsOps()
    credentials = read_credentials(paths)
    return Context(
        paths=paths,
        settings=settings,
        fs=fs,
        supervisor=choose_supervisor(paths, settings.engine, fs),
        log=UpdateLog(paths, fs, now=host_clock),
        outbox=Outbox(paths, fs),
        seen=SeenFile(paths, fs),
        journals=JournalFile(paths, fs),
        portal=None,
        gate=None,
        engine_id=None if credentials is None else credentials.engine,
        updater_version=__version__,
        now=host_clock,
        sleep=time.sleep,
        progress=progress,
    )


def choose_supervisor(paths: Paths, settings: EngineSettings, fs: FsOps) -> Supervisor:
    """The engine as the service that the settings say it is."""
    if settings.service is not None and settings.supervisor == SYSTEMD:
        return SystemdSupervisor(paths, settings.service)
    if sys.platform == "win32" and settings.service is not None and settings.supervisor == WINDOWS:
        from engineshed_client.supervisor.windows_services import WindowsServices

        return WindowsSupervisor(paths, settings.service, WindowsServices())
    return CommandSupervisor(paths, settings, fs)


def _after_boot(supervisor: Supervisor) -> Callable[[], None]:
    """Who starts the engine again after a boot: only where no service manager does."""
    return supervisor.start_after_boot if isinstance(supervisor, CommandSupervisor) else lambda: None


def connect(local: Context, own: OwnUpdate | None = None) -> Parts:
    """The parts of an updater that speaks to its portal.

    Args:
        own: how it installs newer versions of itself; None when it cannot.

    Raises:
        SettingsRefused: the base is not enrolled, or its file of CAs does not exist.
    """
    credentials = read_credentials(local.paths)
    if credentials is None:
        raise SettingsRefused(
            [f"{local.paths.base} is not enrolled: run engineshed-client enrol with the line the portal gave"]
        )
    portal = Portal(
        credentials,
        settings=local.settings,
        paths=local.paths,
        fs=local.fs,
        seen=local.seen,
        now=local.now,
    )
    installed = InstalledEngine(local.paths, local.settings, local.supervisor)
    me = Self(
        engine=credentials.engine,
        settings=local.settings,
        paths=local.paths,
        now=local.now,
        renews=own is not None,
    )
    poller = Poller(me, portal, seen=local.seen, installed=installed)
    gate = OrderGate(poller, portal, keys=credentials.order_keys, seen=local.seen)
    return Parts(
        context=replace(local, portal=portal, gate=gate),
        portal=portal,
        credentials=credentials,
        poller=poller,
        installed=installed,
        after_boot=_after_boot(local.supervisor),
        reconnect=reconnect,
        own=own,
    )


def reconnect(parts: Parts) -> Parts:
    """*parts* as they are, or new ones when the identity on disk is another than theirs.

    One that is gone or cannot be read changes nothing: what is known goes on.
    """
    try:
        credentials = read_credentials(parts.context.paths)
    except SettingsRefused as err:
        logger.warning("identity on disk unreadable", extra={"reason": err.message})
        return parts
    if credentials is None or credentials == parts.credentials:
        return parts
    parts.portal.close()
    local = replace(parts.context, portal=None, gate=None, engine_id=credentials.engine)
    return replace(connect(local, parts.own), after_boot=parts.after_boot)
