"""``web``: gunicorn alone."""

from __future__ import annotations

import click

from engineshed_server.cli.opening import check_served
from engineshed_server.cli.options import with_settings
from engineshed_server.cli.serving import starting
from engineshed_server.serve.web import run_web
from engineshed_server.settings import Settings


@click.command()
@click.option("--fd", type=click.IntRange(3), help="A socket that listens already, instead of web.bind.")
@with_settings
def web(settings: Settings, fd: int | None) -> None:
    """Serve: gunicorn alone, in the foreground, for those who have a process manager of their own."""
    with starting(settings):
        check_served(settings)
    run_web(settings, descriptor=fd)
