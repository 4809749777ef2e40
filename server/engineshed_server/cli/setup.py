"""``init``: make a portal out of nothing."""

from __future__ import annotations

from pathlib import Path

import click

from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Json
from engineshed_server.cli.options import find_config, now, with_settings
from engineshed_server.cli.output import print_json, talk
from engineshed_server.services.setup import Initialised, initialise
from engineshed_server.settings import Settings

MAX_ROOT_BYTES = 512 * 1024


@click.command()
@click.option(
    "--root",
    "root_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The root.json the vendor handed out, from a source you trust. Never from a portal.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def init(settings: Settings, root_file: Path, as_json: bool) -> None:
    """Make the data folder: secrets, database, the vendor's trusted root, the portal's order keys."""
    made = initialise(settings, root=read_limited(root_file, MAX_ROOT_BYTES), now=now())
    if as_json:
        print_json(_values(settings, made))
    for line in _what_next(settings, made):
        talk(line)


def _values(settings: Settings, made: Initialised) -> dict[str, Json]:
    return {
        "portal": made.portal_id,
        "data_dir": str(settings.data_dir),
        "order_key": made.order_key_fingerprint,
        "standby_key": str(made.standby_key),
        "owner_link": made.owner_link.address,
    }


def _what_next(settings: Settings, made: Initialised) -> list[str]:
    lines = [
        f"Portal {settings.name} ({made.portal_id}) is ready in {settings.data_dir}.",
        f"Its order key is {made.order_key_fingerprint}.",
        "",
        "What to do next:",
        f"  1. Take {made.standby_key} away and keep it offline: it replaces a lost order key.",
        "  2. engineshed-server run                             serve; at each boot: `service install`",
        "  3. Open this once, within a day, to become the portal's owner and log in:",
        f"     {made.owner_link.address}",
        "  4. engineshed-server token create --scope admin      a token to upload bundles with",
        "  5. engineshed-server upload BUNDLE                   publish what support sent you",
        "  6. engineshed-server enrol-token create              the line to paste on an engine's host",
    ]
    if find_config(None) is None:
        lines += [
            "",
            "There is no configuration file: give these commands the same --config or --set as this one.",
        ]
    return lines
