"""``doctor``: what an update needs of this host, one look after the other, and what to do where it lacks.

    for finding in examine(context): ...

Nothing is changed, but for folders that are made and removed again to see that one may. No lock is needed: a
running updater goes on beside it.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from engineshed_client.agent.loop import agent_lock
from engineshed_client.agent.wiring import connect
from engineshed_client.enrol import read_credentials
from engineshed_client.errors import ClientError, Locked, PortalUnavailable, SettingsRefused, client_boundary
from engineshed_client.fetch import read_trusted_root
from engineshed_client.fsops import find_stat
from engineshed_client.health import probe_once, probe_spec
from engineshed_client.install.plan import Rules, check_rights, plan_carry
from engineshed_client.steps.beginning import check_volume
from engineshed_client.steps.context import Context
from engineshed_client.steps.facts import tree_in
from engineshed_client.steps.fetching import space_for
from engineshed_packages.errors import MetadataRefused
from engineshed_packages.metadata import View, trusted_view
from engineshed_packages.times import format_time

CLOCK_TOLERANCE = timedelta(minutes=5)
METADATA_NOTICE = timedelta(days=3)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Level(StrEnum):
    """How a finding counts."""

    OK = "ok"
    WARNING = "warning"  # worth knowing; an update may work all the same
    FAULT = "fault"  # an update will not work


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look came to; *message* says what was found, what was expected and what to do."""

    check: str
    level: Level
    message: str


def examine(context: Context) -> Iterator[Finding]:
    """Look at everything, whatever a look comes to."""
    for name, look in CHECKS.items():
        try:
            with client_boundary():
                level, message = look(context)
        except ClientError as err:
            level, message = Level.FAULT, f"{err.message} [{err.code}]"
        yield Finding(name, level, message)


Seen = tuple[Level, str]


def _volume(context: Context) -> Seen:
    check_volume(context)
    return Level.OK, f"{context.paths.base} lies on one volume"


def _rights(context: Context) -> Seen:
    paths = context.paths
    for folder in (paths.base, paths.update, paths.work):
        with context.fs.scratch_folder(folder):
            pass
    found = find_stat(paths.credentials)
    if found is not None and sys.platform != "win32" and found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        return Level.FAULT, f"{paths.credentials} has mode {mode:o}, others read the secret: chmod 600 it"
    tree = tree_in(context, paths.engine)
    if tree is not None and sys.platform != "win32" and os.geteuid() != 0:
        settings = context.settings
        same = Rules(old=tree.manifest, new=tree.manifest, unlisted="carry", outside=settings.runtime_outside)
        plan = plan_carry(tree.folder, same, paths.ext_lib)
        check_rights(plan, user=os.geteuid(), groups={os.getegid(), *os.getgroups()})
    return Level.OK, "everything that an update writes may be written"


def _space(context: Context) -> Seen:
    tree = tree_in(context, context.paths.engine)
    free = context.fs.free_bytes(context.paths.base)
    if tree is None:
        return Level.OK, f"{free} bytes free; no engine tells how many are needed"
    needed = space_for(tree.manifest.disk_bytes)
    text = f"{free} bytes free, a release of this size needs {needed}"
    return (Level.OK, text) if free >= needed else (Level.FAULT, f"{text}: make room")


def _service(context: Context) -> Seen:
    supervisor = context.supervisor
    supervisor.check()
    if supervisor.is_running():
        return Level.OK, f"the engine runs, supervisor {context.settings.engine.supervisor}"
    left = supervisor.leftovers()
    if left:
        return Level.FAULT, f"the engine does not run, but {'; '.join(left[:3])} holds on to it: end that"
    return Level.OK, "the engine does not run; an update would not start it"


def _engine(context: Context) -> Seen:
    tree = tree_in(context, context.paths.engine)
    if tree is None:
        return Level.WARNING, f"{context.paths.engine} holds no engine of this updater: install or adopt one"
    version, problems = tree.manifest.version, tree.problems()
    if problems:
        return Level.WARNING, f"{version} is not as it was released, and is kept so: {problems[0]}"
    if not context.supervisor.is_running():
        return Level.OK, f"{version} is whole"
    tick = probe_once(
        probe_spec(tree.manifest.probe, context.settings, context.paths), expected_version=version
    )
    if tick.good:
        return Level.OK, f"{version} is whole and well"
    return Level.FAULT, f"{version} is whole, but not well: {tick.reason}"


def _updater(context: Context) -> Seen:
    waiting, journal = context.outbox.waiting(), context.journals.load()
    under_way = "" if journal is None else f", attempt {journal.attempt} is in {journal.state}"
    try:
        with context.fs.lock(agent_lock(context.paths)):
            advice = "let it: engineshed-client service install"
            return Level.WARNING, f"the updater does not run, {waiting} reports wait{under_way}; {advice}"
    except Locked:
        return Level.OK, f"the updater runs; {waiting} reports wait{under_way}"


def _portal(context: Context) -> Seen:
    if read_credentials(context.paths) is None:
        return Level.WARNING, "not enrolled: run engineshed-client enrol with the line of the portal's admin"
    _ask_portal(context)
    return Level.OK, "the portal answers, and knows this engine"


def _ask_portal(context: Context) -> datetime | None:
    """The portal's clock, asked as this engine."""
    with closing(connect(context).portal) as portal:
        return portal.show_identity()


def _clock(context: Context) -> Seen:
    now, newest = context.now(), context.seen.load().metadata.newest_date
    shown = f"the clock shows {format_time(now)}"
    if newest is not None and now < newest:
        return Level.FAULT, f"{shown}, but the vendor signed something at {format_time(newest)}: set it"
    try:
        told = _ask_portal(context)
    except ClientError:
        told = None  # the look at the portal tells
    if told is None:
        return Level.OK, f"{shown}, not before what the vendor signed; no portal told its own time"
    if abs(told - context.now()) > CLOCK_TOLERANCE:
        return Level.FAULT, f"{shown}, but the portal's {format_time(told)}: set it"
    return Level.OK, f"{shown}, as the portal's"


def _metadata(context: Context) -> Seen:
    view = _fetch_view(context) or _known_view(context)
    if view is None:
        return Level.WARNING, "the vendor's metadata was never fetched: mend the way to the portal first"
    first = min(view.roles, key=lambda role: role.expires)
    text = f"{first.name} of the vendor's metadata is good until {format_time(first.expires)}"
    if first.expires - context.now() < METADATA_NOTICE:
        return Level.WARNING, f"{text}: the portal needs newer, ask its admin"
    return Level.OK, text


def _fetch_view(context: Context) -> View | None:
    """What the portal has; None where it cannot be asked now."""
    try:
        with context.fs.lock(context.paths.lock), closing(connect(context).portal) as portal:
            return portal.open_view()
    except (Locked, PortalUnavailable, SettingsRefused):
        return None


def _known_view(context: Context) -> View | None:
    """What was verified here last; None when nothing was."""
    try:
        return trusted_view(
            cache=context.paths.metadata,
            trusted_root=read_trusted_root(context.settings),
            now=context.now(),
            seen=context.seen.load().metadata,
        )
    except MetadataRefused as err:
        if err.code == "metadata-missing":
            return None
        raise


CHECKS: Mapping[str, Callable[[Context], Seen]] = {
    "volume": _volume,
    "rights": _rights,
    "space": _space,
    "service": _service,
    "engine": _engine,
    "updater": _updater,
    "portal": _portal,
    "clock": _clock,
    "metadata": _metadata,
}
