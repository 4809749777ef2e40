"""``db``: bring the database to this version's schema, check it, or print the SQL to be read first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from engineshed_packages import exits
from engineshed_server.cli.options import refuse_root, with_settings
from engineshed_server.cli.output import print_data, talk
from engineshed_server.db import schema
from engineshed_server.db.database import Database
from engineshed_server.settings import Settings


@click.group()
def db() -> None:
    """The database's schema."""


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    refuse_root(settings.data_dir)
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.close()


@db.command()
@with_settings
def upgrade(settings: Settings) -> None:
    """Bring the database to the newest schema; repeating it changes nothing."""
    with _database(settings) as database:
        schema.upgrade(database)
        talk(f"database is at {schema.find_revision(database)}")


@db.command()
@with_settings
def check(settings: Settings) -> int:
    """Say whether the schema is this version's; exit code 1 when not."""
    with _database(settings) as database:
        faults = schema.check(database)
    for fault in faults:
        print_data(fault)
    if not faults:
        talk("the schema is up to date")
    return exits.FAILED if faults else exits.DONE


@db.command()
@with_settings
def script(settings: Settings) -> None:
    """Print the SQL that `upgrade` would run."""
    with _database(settings) as database:
        click.echo(schema.script(database))
