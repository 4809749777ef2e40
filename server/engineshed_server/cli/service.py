"""``service``: the portal as a service of this host's systemd."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from engineshed_packages.jsontext import Json
from engineshed_packages.units import (
    ROOT,
    Found,
    System,
    Unit,
    UnitEdited,
    check_readable,
    find_account,
    owner_of,
)
from engineshed_server.cli.options import current_assignments, current_config, with_settings
from engineshed_server.cli.output import complain, print_data, print_json, print_table, talk
from engineshed_server.serve.unit import PortalService
from engineshed_server.settings import Settings
from engineshed_server.settings.fields import ENV_PREFIX
from engineshed_server.storage.folders import Folders

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_USER = "engineshed"


@click.group()
def service() -> None:
    """The portal as a service of this host (systemd)."""


def _options(command: Callable[P, R]) -> Callable[P, R]:
    """What all of ``service`` take."""
    for option in (
        click.option(
            "--root",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Another system's root folder, as of an image.",
        ),
        click.option("--name", "instance", help="Tells several portals on one host apart."),
        click.option(
            "--user", help=f"Account the portal runs as [default: the data folder's owner, {DEFAULT_USER}]."
        ),
    ):
        command = option(command)
    return command


def _made(settings: Settings, *, user: str | None, instance: str | None) -> PortalService:
    return PortalService(
        settings=settings,
        user=user or owner_of(settings.data_dir) or DEFAULT_USER,
        instance=instance,
        config=current_config(),
        assignments=current_assignments(),
        scripts=Path(sys.executable).parent,
        interpreter=Path(sys.base_prefix),
    )


def _system(root: Path | None) -> System:
    return System(None if root is None else root.absolute())


@service.command()
@click.option("--print", "only_print", is_flag=True, help="Print the unit; change nothing.")
@click.option("--now", is_flag=True, help="Start the portal, too.")
@click.option("--force", is_flag=True, help="Also replace a unit that was changed by hand.")
@_options
@with_settings
def install(
    settings: Settings,
    user: str | None,
    instance: str | None,
    root: Path | None,
    only_print: bool,
    now: bool,
    force: bool,
) -> None:
    """Write the portal's unit and let it start at boot; again: bring it up to date."""
    portal, system = _made(settings, user=user, instance=instance), _system(root)
    unit = portal.unit()
    if only_print:
        _print_lines(unit.text.splitlines())
        return
    system.require_systemd()
    if system.is_this_host:
        _check(portal)
    with _showing_edits():
        changed = system.write([unit], force=force)
    for path in changed:
        talk(f"wrote {path}")
    system.enable([unit.name])
    started = now and system.runs
    if started:
        system.start([unit.name], anew=bool(changed))
    for line in _what_next(portal, system, unit=unit, is_started=started):
        talk(line)


@service.command()
@click.option("--force", is_flag=True, help="Also remove a unit that was changed by hand.")
@_options
@with_settings
def remove(
    settings: Settings, user: str | None, instance: str | None, root: Path | None, force: bool
) -> None:
    """Stop the portal and remove its unit; configuration and data stay."""
    system = _system(root)
    system.require_systemd()
    unit = _made(settings, user=user, instance=instance).unit()
    with _showing_edits():
        removed = system.remove([unit], force=force)
    talk(f"removed {removed[0]}" if removed else f"{unit.name} is not installed")
    talk(f"{settings.data_dir} stays as it is")


@service.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_options
@with_settings
def show(
    settings: Settings, user: str | None, instance: str | None, root: Path | None, as_json: bool
) -> None:
    """Show whether the unit is installed, as it would be written now, enabled and active."""
    portal = _made(settings, user=user, instance=instance)
    unit = portal.unit()
    seen = _system(root).look(unit)
    values: dict[str, Json] = {
        "unit": unit.name,
        "path": str(seen.path),
        "file": seen.found.value,
        "user": portal.user,
        "enabled": seen.enabled,
        "active": seen.active,
    }
    if as_json:
        print_json(values)
    else:
        print_table(list(values), [[None if value is None else str(value) for value in values.values()]])
    if seen.found in (Found.OUTDATED, Found.EDITED):
        talk("the file is not what would be written now: see `engineshed-server service install --print`")


@contextmanager
def _showing_edits() -> Iterator[None]:
    """Show what a hand has changed in a unit that is left as it is."""
    try:
        yield
    except UnitEdited as err:
        _print_lines(err.difference)
        raise


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print_data(line)


def _check(portal: PortalService) -> None:
    shell_only = [line for line in portal.settings.lines if line.origin.startswith(ENV_PREFIX)]
    for line in shell_only:
        complain(f"warning: {line.name} comes from this shell ({line.origin}); the service does not see it")
    account = find_account(portal.user)
    owner = owner_of(portal.settings.data_dir)
    if owner is not None and owner != portal.user:
        complain(
            f"warning: {portal.settings.data_dir} belongs to {owner}, the portal is to run as {portal.user}"
        )
    if portal.user == ROOT:
        complain("warning: the portal is to run as root, which it does not need: give --user")
    check_readable(portal.needed, account)


def _what_next(portal: PortalService, system: System, *, unit: Unit, is_started: bool) -> list[str]:
    if not system.is_this_host:
        return [f"{unit.name} starts when that system boots"]
    lines = [f"{unit.name} starts at boot"]
    if not Folders(portal.settings.data_dir).trusted_root.is_file():
        lines.append(f"first, as {portal.user}: engineshed-server init --root root.json")
    if not is_started:
        lines.append(f"now: systemctl restart {unit.name}")
    lines.append(f"its log: journalctl -u {unit.name}")
    return lines
