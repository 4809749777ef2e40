"""``upload FILE``: send a bundle to a portal, from this host or any other.

The token comes from a file or the environment, never from the arguments, where every user of the host
could read it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from engineshed_packages.enrolment import check_portal_url
from engineshed_packages.progress import choose
from engineshed_packages.transport import HttpClient
from engineshed_packages.uploads.memory import Memory
from engineshed_packages.uploads.patience import GIVE_UP_S, Patience
from engineshed_packages.uploads.portal import UploadPortal
from engineshed_packages.uploads.sending import send_file
from engineshed_packages.uploads.tokens import FILE_VARIABLE, MISSING, find_token
from engineshed_server.cli.options import with_settings
from engineshed_server.cli.output import is_quiet, print_data, print_json, talk
from engineshed_server.settings import Settings


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", metavar="URL", help="Address of the portal [default: portal.public_url].")
@click.option(
    "--token-file", type=click.Path(path_type=Path), help=f"File with the API token [env: {FILE_VARIABLE}]."
)
@click.option("--ca-file", type=click.Path(path_type=Path), help="PEM file of the portal's CA.")
@click.option(
    "--retry-for",
    type=click.IntRange(min=0),
    default=int(GIVE_UP_S),
    show_default=True,
    metavar="SECONDS",
    help="Give up after so long without progress.",
)
@click.option("--no-progress", is_flag=True, help="Do not show how far it is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and progress as events.")
@with_settings
def upload(
    settings: Settings,
    file: Path,
    to: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    retry_for: int,
    no_progress: bool,
    as_json: bool,
) -> None:
    """Upload the bundle FILE and publish what is new in it.

    A cut line or a restart of the portal is borne; the same command, started again, goes on where it was.

    The API token (scope support or admin) is read from --token-file, or from the file named by
    ENGINESHED_TOKEN_FILE, or from ENGINESHED_TOKEN.
    """
    token = find_token(token_file, os.environ)
    if token is None:
        raise click.UsageError(MISSING)
    authorities = settings.ca_file if ca_file is None else ca_file
    show = choose(sys.stderr, as_json=as_json, wanted=not (no_progress or is_quiet()))
    with HttpClient(
        ca_file=None if authorities is None else str(authorities), user_agent="engineshed-server"
    ) as client:
        published = send_file(
            UploadPortal(client, check_portal_url(settings.public_url if to is None else to), token),
            file,
            memory=Memory.of_user(os.environ),
            patience=Patience(retry_for, tell=_tell),
            tell=_tell,
            show=show,
        )
    if as_json:
        print_json({"file": str(file), **published.to_dict()})
        return
    for line in published.lines():
        print_data(line)
    for notice in published.notices:
        talk(f"notice: {notice}")


def _tell(text: str) -> None:
    if sys.stderr.isatty() and not is_quiet():
        click.echo(err=True)  # the bar stands on the line
    talk(text)
