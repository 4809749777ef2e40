"""``config show``: every setting, its value and where that came from. Secrets are never shown."""

from __future__ import annotations

import click

from engineshed_packages.jsontext import Json
from engineshed_server.cli.options import with_settings
from engineshed_server.cli.output import print_json, print_table
from engineshed_server.settings import Settings


@click.group()
def config() -> None:
    """The configuration in force."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def show(settings: Settings, as_json: bool) -> None:
    """Show each setting with its value and where it came from."""
    if as_json:
        values: dict[str, Json] = {
            line.name: {"value": line.value, "origin": line.origin} for line in settings.lines
        }
        print_json({"settings": values})
    else:
        print_table(
            ("setting", "value", "from"), [(one.name, one.value, one.origin) for one in settings.lines]
        )
