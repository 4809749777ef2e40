"""``upload FILE``: send a bundle to a portal, from this host or any other.

The token comes from a file or the environment, never from the arguments, where every user of the host
could read it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote

import click

from engineshed_packages.enrolment import check_portal_url
from engineshed_packages.files import read_limited
from engineshed_packages.jsontext import Fields, read_object
from engineshed_packages.transport import HttpClient
from engineshed_server.cli.options import with_settings
from engineshed_server.cli.output import is_quiet, print_data, print_json, talk
from engineshed_server.cli.progress import Progress, format_bytes
from engineshed_server.settings import Settings

TOKEN_ENV = "ENGINESHED_TOKEN"
MAX_TOKEN_BYTES = 4096
MAX_ANSWER_BYTES = 1024 * 1024


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--portal", help="Address of the portal [default: portal.public_url].")
@click.option(
    "--token-file", type=click.Path(path_type=Path), help=f"File with the API token [env: {TOKEN_ENV}_FILE]."
)
@click.option("--ca-file", type=click.Path(path_type=Path), help="PEM file of the portal's CA.")
@click.option("--no-progress", is_flag=True, help="Do not show how far it is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings
def upload(
    settings: Settings,
    file: Path,
    portal: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    no_progress: bool,
    as_json: bool,
) -> None:
    """Upload the bundle FILE and publish what is new in it.

    The API token (scope support or admin) is read from --token-file, or from the file named by
    ENGINESHED_TOKEN_FILE, or from ENGINESHED_TOKEN.
    """
    base = check_portal_url(settings.public_url if portal is None else portal)
    token = find_token(token_file)
    authorities = settings.ca_file if ca_file is None else ca_file
    size_bytes = file.stat().st_size
    progress = Progress(file.name, total_bytes=size_bytes, stream=sys.stderr)
    url = f"{base}/api/v1/bundles/{quote(_name(file), safe='')}"
    client = HttpClient(
        ca_file=None if authorities is None else str(authorities), user_agent="engineshed-server"
    )
    try:
        with client:
            answer = client.put_file(
                url,
                file,
                token=token,
                max_bytes=MAX_ANSWER_BYTES,
                progress=None if no_progress or is_quiet() else progress.at,
            )
    finally:
        progress.finish()
    _print(answer.body, as_json=as_json, size_bytes=size_bytes)


def find_token(token_file: Path | None) -> str:
    """The API token of the uploader, from where it was put."""
    named = os.environ.get(f"{TOKEN_ENV}_FILE") if token_file is None else str(token_file)
    if named:
        token = read_limited(Path(named), MAX_TOKEN_BYTES).decode("utf-8", "replace").strip()
    else:
        token = os.environ.get(TOKEN_ENV, "").strip()
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise click.UsageError(
            f"no API token: put it into a file and name that in --token-file or {TOKEN_ENV}_FILE"
        )
    return token


def _name(file: Path) -> str:
    """The file's name as the portal takes it: for people and its log only."""
    return re.sub(r"[^A-Za-z0-9._+-]", "-", file.name)[:200].lstrip("._+-") or "bundle.zip"


def _print(body: bytes, *, as_json: bool, size_bytes: int) -> None:
    answer = read_object(body, what="answer to the upload", max_bytes=MAX_ANSWER_BYTES)
    if as_json:
        print_json(answer)
        return
    fields = Fields(answer, "answer to the upload")
    talk(f"{format_bytes(size_bytes)} uploaded")
    code = fields.text("code")
    releases = fields.objects("releases", max_items=1000)
    for values in releases:
        release = Fields(values, "release")
        platforms = ", ".join(release.texts("platforms", max_items=100))
        print_data(f"{code}: {release.text('product')} {release.text('version')} ({platforms})")
    if not releases and fields.flag("added_metadata"):
        print_data(f"{code}: the vendor's newer metadata, no new package")
    elif not releases:
        print_data(f"{code}: nothing in it is new here")
    for notice in fields.texts("notices", max_items=100, max_chars=1000):
        talk(f"notice: {notice}")
