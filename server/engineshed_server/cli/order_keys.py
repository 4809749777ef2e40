"""``order-key`` and ``portals``: what engines know of this portal, changed without visiting any of them."""

from __future__ import annotations

from pathlib import Path

import click

from engineshed_packages.files import read_limited
from engineshed_packages.times import format_time
from engineshed_server.api.schemas.configuration import AddressesSchema
from engineshed_server.cli.opening import opened, opened_keyless
from engineshed_server.cli.options import ACTOR, now, with_settings
from engineshed_server.cli.output import print_data, print_json, print_table, talk
from engineshed_server.services.order_keys import (
    KeysChanged,
    list_order_keys,
    recover_order_key,
    retire_order_key,
    rotate_order_key,
)
from engineshed_server.services.portal_addresses import set_portals, show_addresses
from engineshed_server.settings import Settings

MAX_PEM_BYTES = 64 * 1024
_OUT = click.Path(path_type=Path)


@click.group("order-key")
def order_key() -> None:
    """The keys that sign this portal's orders."""


@order_key.command("list")
@with_settings
def list_command(settings: Settings) -> None:
    """List all keys, and how many engines can only be reached with each."""
    with opened_keyless(settings) as portal:
        found = list_order_keys(portal)
    titles = ("fingerprint", "role", "private part", "needed by", "since")
    rows = [
        (
            one.fingerprint,
            one.role,
            "here" if one.here else "not here",
            str(one.needed_by) if one.needed_by else "-",
            format_time(one.created),
        )
        for one in found
    ]
    print_table(titles, rows)


@order_key.command()
@click.option(
    "--new-standby",
    "standby_out",
    type=_OUT,
    metavar="FILE",
    help="Draw a new standby key as well, into FILE: take it away and keep it offline.",
)
@with_settings
def rotate(settings: Settings, standby_out: Path | None) -> None:
    """Let a new key sign from now on; engines are told of it at their next poll."""
    with opened(settings) as portal:
        done = rotate_order_key(portal, standby_out=standby_out, actor=ACTOR, now=now())
    _tell(done)


@order_key.command()
@click.option(
    "--standby",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The standby key that `init`, or the last change, wrote.",
)
@click.option(
    "--new-standby",
    "standby_out",
    type=_OUT,
    metavar="FILE",
    help="Where the new standby key goes; else into the data folder.",
)
@with_settings
def recover(settings: Settings, standby: Path, standby_out: Path | None) -> None:
    """When the order key is lost or stolen: let the standby key sign from now on, and draw a new one."""
    pem = read_limited(standby, MAX_PEM_BYTES)
    with opened_keyless(settings) as portal:
        done = recover_order_key(portal, standby_pem=pem, standby_out=standby_out, actor=ACTOR, now=now())
    _tell(done)
    talk(f"{standby} signs orders now: keep no copy of it elsewhere. Start the portal if it is down.")


@order_key.command()
@click.argument("fingerprint")
@with_settings
def retire(settings: Settings, fingerprint: str) -> None:
    """Remove the private part of a former key, once every engine knows a newer one."""
    with opened(settings) as portal:
        removed = retire_order_key(portal, fingerprint, actor=ACTOR, now=now())
    talk(f"{fingerprint} {'is removed' if removed else 'was not here'}")


def _tell(done: KeysChanged) -> None:
    talk(f"The order key is {done.configuration.active.fingerprint}.")
    if done.standby_file is not None:
        talk(f"Take {done.standby_file} away and keep it offline: it replaces a lost order key.")
    talk(f"{done.behind} engines are told at their next poll; see: engineshed-server portals show")
    talk("Enrolment lines made before name the old keys and are refused: make new ones.")


@click.group()
def portals() -> None:
    """The addresses by which engines reach this portal."""


@portals.command("set")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@with_settings
def set_command(settings: Settings, urls: tuple[str, ...]) -> None:
    """Give every engine these addresses, tried in this order."""
    with opened(settings) as portal:
        changed = set_portals(portal, urls, actor=ACTOR, now=now())
        shown = show_addresses(portal)
    if not changed:
        talk("these are the addresses already")
        return
    talk(f"{shown.behind} engines are told at their next poll. Keep the old address working until then.")
    if portal.settings.public_url not in shown.portals:
        talk(f"portal.public_url is {settings.public_url}: new hosts still join there; change it as well")


@portals.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def show(settings: Settings, as_json: bool) -> None:
    """Show what engines are to know of this portal, and how many do not yet."""
    with opened_keyless(settings) as portal:
        shown = show_addresses(portal)
    if as_json:
        print_json(AddressesSchema.write(shown))
        return
    for url in shown.portals:
        print_data(f"portal       {url}")
    print_data(f"order key    {shown.order_key}")
    print_data(f"standby key  {shown.standby_key}")
    print_data(f"engines      {shown.engines}, of which {shown.behind} do not know all of this yet")
