"""``release``: what this portal offers, and what it keeps back."""

from __future__ import annotations

import click

from engineshed_packages.metadata import NotesFile
from engineshed_packages.target import Target
from engineshed_packages.times import format_time
from engineshed_server.api.schemas.releases import ReleaseSchema
from engineshed_server.cli.opening import opened
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.errors import NotFound, Refused
from engineshed_server.services.holds import HoldChange, change_hold
from engineshed_server.services.portal import Portal
from engineshed_server.services.releases import Release, list_releases, read_notes, show_release
from engineshed_server.settings import Settings


@click.group()
def release() -> None:
    """Published releases."""


@release.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def list_command(settings: Settings, as_json: bool) -> None:
    """List the releases, newest first within a product."""
    with opened(settings) as portal:
        found = list_releases(portal)
    if as_json:
        print_json({"releases": [ReleaseSchema.write(one) for one in found]})
        return
    titles = ("product", "version", "platforms", "channel", "published", "state")
    print_table(titles, [_row(one) for one in found])


def _row(one: Release) -> tuple[str, ...]:
    return (
        one.product,
        one.version,
        ",".join(target.platform for target in one.targets),
        ",".join(sorted({target.channel for target in one.targets})),
        format_time(one.published),
        _state(one),
    )


def _state(one: Release) -> str:
    if all(target.withdrawn for target in one.targets):
        return "withdrawn"
    return "held" if one.held else "offered"


@release.command()
@click.argument("product")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def show(settings: Settings, product: str, version: str, as_json: bool) -> None:
    """Show VERSION of PRODUCT with its packages, their digests, and in which languages it has notes."""
    with opened(settings) as portal:
        found = show_release(portal, product, version=version)
        notes = None if found.notes is None else _notes_line(portal, found.notes)
    if as_json:
        print_json(ReleaseSchema.write(found))
        return
    why = f": {found.hold_reason}" if found.hold_reason else ""
    published = format_time(found.published)
    print_data(f"{found.product} {found.version}, published {published}, {_state(found)}{why}")
    for target, sha1 in ((one.target, one.sha1) for one in found.packages):
        for line in _package_lines(target, sha1):
            print_data(line)
    if notes is not None:
        print_data(notes)


@release.command()
@click.argument("product")
@click.argument("version")
@click.option("--reason", required=True, help="Why, for those who come later.")
@with_settings
def hold(settings: Settings, product: str, version: str, reason: str) -> None:
    """Keep VERSION of PRODUCT back: engines are not offered it until `unhold`."""
    with opened(settings) as portal:
        change = HoldChange(held=True, reason=reason)
        held = change_hold(portal, product, version=version, change=change, actor=ACTOR, now=now())
    talk(f"{product} {version} {'is' if held else 'was already'} on hold")


@release.command()
@click.argument("product")
@click.argument("version")
@click.option("--reason", required=True, help="Why, for those who come later.")
@with_settings
def unhold(settings: Settings, product: str, version: str, reason: str) -> None:
    """Let VERSION of PRODUCT go again."""
    with opened(settings) as portal:
        change = HoldChange(held=False, reason=reason)
        let_go = change_hold(portal, product, version=version, change=change, actor=ACTOR, now=now())
    talk(f"{product} {version} {'is not on hold any more' if let_go else 'was not on hold'}")


def _notes_line(portal: Portal, notes: NotesFile) -> str:
    try:
        told = ", ".join(sorted(read_notes(portal, notes).languages))
    except (Refused, NotFound) as err:
        told = f"not to be shown: {err.message}"
    return f"{notes.path} ({told})"


def _package_lines(target: Target, sha1: str) -> list[str]:
    lines = [
        f"{target.path}",
        f"  platform  {target.platform}",
        f"  length    {target.length_bytes} bytes",
        f"  sha256    {target.sha256}",
        f"  sha1      {sha1}  (to compare by eye; never trusted)",
        f"  channel   {target.channel}, {target.severity}, {target.mode}",
    ]
    if target.min_version is not None:
        lines.append(f"  needs     {target.min_version.text} installed first")
    if target.floor is not None:
        lines.append(f"  floor     {target.floor.text}")
    if target.message:
        lines.append(f"  message   {target.message}")
    return lines
