"""Printing: data to stdout for programs and people, talk to stderr.

What engines and bundles told the portal is written with control characters spelled out, so that no
host name can colour a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import click

from engineshed_packages.jsontext import Json, escape_controls

QUIET = "engineshed_server.cli.quiet"  # where --quiet is kept in click's context


def print_json(values: Mapping[str, Json]) -> None:
    """One JSON object, indented for reading, to stdout."""
    click.echo(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False))


def print_data(text: str) -> None:
    """One line of data to stdout."""
    click.echo(escape_controls(text))


def talk(text: str) -> None:
    """One line for the person at the terminal, to stderr; nothing with ``--quiet``."""
    if not is_quiet():
        complain(text)


def is_quiet() -> bool:
    """Whether ``--quiet`` was given."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


def complain(text: str) -> None:
    """One line about something that went wrong, to stderr, quiet or not."""
    click.echo(escape_controls(text), err=True)


def print_table(
    titles: Sequence[str], rows: Sequence[Sequence[str | None]], *, notes: Sequence[Sequence[str]] = ()
) -> None:
    """Aligned columns with their titles to stdout; None is shown as ``-``.

    *notes* has the lines to be indented below each row.
    """
    lines = [
        list(titles),
        *([escape_controls("-" if cell is None else cell) for cell in row] for row in rows),
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line, below in zip_longest(lines, [(), *notes], fillvalue=()):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        for note in below:
            click.echo(f"    {escape_controls(note)}")
