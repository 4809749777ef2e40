"""``service``: the updater, and the recovery before it, as services of this host's systemd."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engineshed_client.cli.frame import Frame
from engineshed_client.enrol import read_credentials
from engineshed_client.errors import ClientError, SettingsRefused
from engineshed_client.paths import Paths
from engineshed_client.settings.keys import SYSTEMD
from engineshed_client.units import UpdaterService
from engineshed_packages import exits
from engineshed_packages.errors import UnitRefused
from engineshed_packages.jsontext import Json
from engineshed_packages.units import ROOT, Found, System, UnitEdited, check_readable, find_account, owner_of


def run_install(frame: Frame) -> int:
    """Write both units and let them start at boot; again: bring them up to date."""
    arguments = frame.arguments
    frame.settings()  # faults are told now, not at the next boot
    with _refusals(frame):
        made, system = _made(frame), _system(arguments)
        units = made.units()
        if arguments.print:
            for unit in units:
                frame.output.result({}, f"# --- {unit.name}", *unit.text.splitlines())
            return exits.DONE
        system.require_systemd()
        if system.is_this_host:
            _check(made)
        changed = system.write(units, force=arguments.force)
        for path in changed:
            frame.output.talk(f"wrote {path}")
        system.enable(made.names)
        started = arguments.now and system.runs
        if started:
            system.start(made.names[:1], anew=bool(changed))
    for line in _what_next(made, system, is_started=started):
        frame.output.talk(line)
    return exits.DONE


def run_remove(frame: Frame) -> int:
    """Stop the updater and remove both units; the engine goes on, and the base stays."""
    with _refusals(frame):
        made, system = _made(frame), _system(frame.arguments)
        system.require_systemd()
        removed = system.remove(made.units(), force=frame.arguments.force)
    for path in removed:
        frame.output.talk(f"removed {path}")
    if not removed:
        frame.output.talk(f"{' and '.join(made.names)} are not installed")
    frame.output.talk(f"{made.base} stays as it is, and so does a running engine")
    return exits.DONE


def run_show(frame: Frame) -> int:
    """Whether both units are installed, as they would be written now, enabled and active."""
    with _refusals(frame):
        made, system = _made(frame), _system(frame.arguments)
        seen = [(unit.name, system.look(unit)) for unit in made.units()]
    rows: list[dict[str, Json]] = [
        {
            "unit": name,
            "path": str(one.path),
            "file": one.found.value,
            "enabled": one.enabled,
            "active": one.active,
        }
        for name, one in seen
    ]
    lines = [f"{name:<9} {'-' if value is None else value}" for row in rows for name, value in row.items()]
    frame.output.result({"units": list(rows), "user": made.user}, *lines)
    if any(one.found in (Found.OUTDATED, Found.EDITED) for _, one in seen):
        frame.output.talk("not what would be written now: see `engineshed-client service install --print`")
    return exits.DONE


def add_install(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``service install``."""
    add_show(parser)
    parser.add_argument("--print", action="store_true", help="print the units, change nothing")
    parser.add_argument("--now", action="store_true", help="start the updater, too")
    parser.add_argument("--force", action="store_true", help="also replace units that were changed by hand")


def add_remove(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``service remove``."""
    add_show(parser)
    parser.add_argument("--force", action="store_true", help="also remove units that were changed by hand")


def add_show(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``service show``, which all of ``service`` take."""
    parser.add_argument(
        "--user", metavar="NAME", help="account of updater and engine (else the base's owner)"
    )
    parser.add_argument("--name", metavar="NAME", help="tells several engines on one host apart")
    parser.add_argument(
        "--engine-unit",
        metavar="UNIT",
        action="append",
        default=[],
        help="a unit that starts the engine, as cockpit.service: recovery comes first; may be repeated",
    )
    parser.add_argument("--root", metavar="FOLDER", type=Path, help="another system's root, as of an image")


def _system(arguments: argparse.Namespace) -> System:
    return System(None if arguments.root is None else arguments.root.absolute())


def _made(frame: Frame) -> UpdaterService:
    arguments, base = frame.arguments, frame.base()
    user = arguments.user or owner_of(base)
    if user is None or (user == ROOT and arguments.user is None):
        message = f"{base} belongs to {user or 'nobody known here'}: give --user, the account of the engine"
        raise UnitRefused("unit-user", message)
    return UpdaterService(
        base=base,
        user=user,
        instance=arguments.name,
        engine_units=_engine_units(frame),
        scripts=Path(sys.executable).parent,
        interpreter=Path(sys.base_prefix),
    )


def _engine_units(frame: Frame) -> tuple[str, ...]:
    """Those that are named, and the one by which the updater runs the engine."""
    named: list[str] = frame.arguments.engine_unit
    try:
        engine = frame.settings().engine
    except SettingsRefused:
        return tuple(named)  # `install` tells the faults; what only looks goes on
    own = [engine.service] if engine.service is not None and engine.supervisor == SYSTEMD else []
    return tuple(dict.fromkeys([*named, *own]))


def _check(made: UpdaterService) -> None:
    owner = owner_of(made.base)
    if owner != made.user:
        message = f"{made.base} belongs to {owner}, the updater is to run as {made.user}: chown -R it first"
        raise UnitRefused("unit-user", message)
    check_readable(made.needed, find_account(made.user))


@contextmanager
def _refusals(frame: Frame) -> Iterator[None]:
    """Units that are refused, as an error of the updater; what a hand has changed is shown."""
    try:
        yield
    except UnitRefused as err:
        if isinstance(err, UnitEdited):
            frame.output.result({"difference": list(err.difference)}, *err.difference)
        raise ClientError(err.code, err.message) from err


def _what_next(made: UpdaterService, system: System, *, is_started: bool) -> list[str]:
    updater, recover = made.names
    if not system.is_this_host:
        return [f"{updater} and {recover} start when that system boots"]
    lines = [f"{updater} and {recover} start at boot"]
    if read_credentials(Paths(made.base)) is None:
        lines.append(f"first, as {made.user}: engineshed-client --base {made.base} enrol")
    if not is_started:
        lines.append(f"now: systemctl restart {updater}")
    lines.append(f"its log: journalctl -u {updater}")
    return lines
